"""Tables that are partitioned by their shard, as an operator may partition them and as Citus distributes them.

ORDERS_TEST_PARTITIONS=N runs the integration tests on tables with N partitions each.
"""

import os

import psycopg

from service.config import MigrationSettings
from service.repo.schema.migrate import migrate

REQUESTED = int(os.environ.get("ORDERS_TEST_PARTITIONS", "0"))


def create_tables(dsn: str, partitions: int) -> None:
    """Migrate an empty database, and partition its tables if `partitions` is not 0."""
    migrate(dsn, MigrationSettings())
    with psycopg.connect(dsn, autocommit=True) as admin:
        partition(admin, partitions)


def partition(admin: psycopg.Connection, count: int) -> None:
    """Replace the tables by tables with `count` partitions each, unless `count` is 0 or they are partitioned."""
    if not count or _is_partitioned(admin):
        return
    admin.execute("CREATE SCHEMA plain")
    for table in ("items", "payments", "deliveries", "orders"):
        admin.execute(f"ALTER TABLE {table} SET SCHEMA plain".encode())
    for table in ("orders", "deliveries", "payments", "items"):
        like = f"CREATE TABLE {table} (LIKE plain.{table} INCLUDING ALL) PARTITION BY HASH (shard)"
        admin.execute(like.encode())
        for number in range(count):
            bound = f"FOR VALUES WITH (MODULUS {count}, REMAINDER {number})"
            admin.execute(f"CREATE TABLE {table}_p{number} PARTITION OF {table} {bound}".encode())
        if table != "orders":
            key = "FOREIGN KEY (order_id, shard) REFERENCES orders ON DELETE CASCADE"
            admin.execute(f"ALTER TABLE {table} ADD {key}".encode())


def _is_partitioned(admin: psycopg.Connection) -> bool:
    found = admin.execute("SELECT FROM pg_partitioned_table WHERE partrelid = 'orders'::regclass")
    return found.fetchone() is not None
