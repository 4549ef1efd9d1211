"""Tables that are partitioned by their shard, as an operator may partition them and as Citus distributes them."""

import psycopg


def partition(admin: psycopg.Connection, count: int) -> None:
    """Replace the tables by tables with `count` partitions each; do nothing if `count` is 0."""
    if not count:
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
