"""SQL that tells deployments apart that share a database: each has its tables in a schema of its own.

Not by the topic: whoever writes into the same tables, from whatever topic, has the same readers.
"""

from typing import Final

SCHEMA: Final = "(SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = to_regclass('orders'))"
"""The name of the schema that our tables are in; NULL where they are not there yet."""
CHANNEL: Final = f"'orders_' || md5({SCHEMA})"
"""What is notified on; hashed, for a channel's name has at most 63 bytes, as a schema's may have."""


def lock_key(purpose: str, schema: str = SCHEMA) -> str:
    """Return an expression for the key of an advisory lock; the server has one space of keys for a whole database."""
    return f"hashtextextended('orders {purpose} ' || {schema}, 0)"
