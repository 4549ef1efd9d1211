"""SQL that separates deployments that share a database: each has its tables in its own schema.

The schema and not the topic decides: all writers of the same tables, from any topic, have the same readers.
"""

from typing import Final, NamedTuple

SCHEMA_OID: Final = "(SELECT relnamespace FROM pg_class WHERE oid = to_regclass('orders'))"
SCHEMA: Final = f"{SCHEMA_OID}::regnamespace::text"
"""The schema of our tables, quoted if necessary; NULL if they do not exist."""
CHANNEL: Final = f"(SELECT 'orders_' || md5(nspname) FROM pg_namespace WHERE oid = {SCHEMA_OID})"
"""The notification channel; NULL without tables. Hashed, because both a schema's and a channel's name can have 63
bytes. The name is not quoted, because roles may differ in `quote_all_identifiers`."""
DATABASE: Final = "(SELECT current_database() || ' of ' || system_identifier FROM pg_control_system())"
"""Identifies a database: equal on a primary and its standbys only."""


class Identity(NamedTuple):
    """The channel that notifies of the orders in the tables that are read, and the database of these tables."""

    channel: str
    database: str
    is_standby: bool
    """Whether the server that answered is a standby."""
