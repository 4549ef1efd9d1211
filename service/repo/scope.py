"""SQL that separates deployments that share a database: each has its tables in its own schema.

The schema and not the topic decides: all writers of the same tables, from any topic, have the same readers.
"""

from typing import Final, NamedTuple

SCHEMA: Final = "(SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = to_regclass('orders'))"
"""The schema of our tables; NULL if they do not exist."""
CHANNEL: Final = f"'orders_' || md5({SCHEMA})"
"""The notification channel. Hashed, because both a schema's and a channel's name can have 63 bytes."""
DATABASE: Final = "(SELECT current_database() || ' of ' || system_identifier FROM pg_control_system())"
"""Identifies a database: equal on a primary and its standbys only."""


class Identity(NamedTuple):
    """The channel that notifies of the orders in the tables that are read, and the database of these tables."""

    channel: str
    database: str
    is_standby: bool
    """Whether the server that answered is a standby."""
