"""Tables that are partitioned by their shard, as an operator may partition them and as Citus distributes them.

ORDERS_TEST_PARTITIONS=N runs the integration tests on tables with N partitions each, without those marked plain_tables.
"""

import os

import psycopg

from service.config import MigrationSettings
from service.repo import columns
from service.repo.conninfo import Conninfo
from service.repo.schema.migrate import migrate

TABLES = tuple(table.name for table in columns.TABLES if "shard" in table.key)
REQUESTED = int(os.environ.get("ORDERS_TEST_PARTITIONS", "0"))


def create_tables(dsn: str, partitions: int) -> None:
    """Migrate an empty database, and partition its tables if `partitions` is not 0."""
    migrate(Conninfo(dsn), MigrationSettings())
    with psycopg.connect(dsn, autocommit=True) as admin:
        partition(admin, partitions)


def partition(admin: psycopg.Connection, count: int) -> None:
    """Replace the tables by tables with `count` partitions each, unless `count` is 0 or they are partitioned."""
    if not count or _is_partitioned(admin):
        return
    admin.execute("CREATE SCHEMA plain")
    for table in reversed(TABLES):
        admin.execute(f"ALTER TABLE {table} SET SCHEMA plain".encode())
    for table in TABLES:
        like = f"CREATE TABLE {table} (LIKE plain.{table} INCLUDING ALL) PARTITION BY HASH (shard)"
        admin.execute(like.encode())
        for number in range(count):
            bound = f"FOR VALUES WITH (MODULUS {count}, REMAINDER {number})"
            admin.execute(f"CREATE TABLE {table}_p{number} PARTITION OF {table} {bound}".encode())
        if table != "orders":
            key = "FOREIGN KEY (order_id, shard) REFERENCES orders ON DELETE CASCADE"
            admin.execute(f"ALTER TABLE {table} ADD {key}".encode())


def disable_autovacuum(admin: psycopg.Connection, *tables: str) -> None:
    """Keep the tables, or all of their partitions, from being vacuumed and analyzed."""
    for table in tables:
        partitions = admin.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", [table]
        )
        for name in [name for (name,) in partitions] or [table]:
            admin.execute(f"ALTER TABLE {name} SET (autovacuum_enabled = off)".encode())


def _is_partitioned(admin: psycopg.Connection) -> bool:
    found = admin.execute("SELECT FROM pg_partitioned_table WHERE partrelid = 'orders'::regclass")
    return found.fetchone() is not None
