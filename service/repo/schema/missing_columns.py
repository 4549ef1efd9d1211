"""Detects tables that lack columns of this release, although their revision says otherwise."""

from typing import Any, Final

import psycopg

from service.repo.columns import TABLES

MISSING_COLUMNS: Final = """\
SELECT name || '.' || field FROM unnest(%s::text[], %s::text[]) AS wanted (name, field)
WHERE NOT EXISTS (
    SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass(name) AND attname = field AND NOT attisdropped)
ORDER BY name, field"""
"""The wanted columns that the tables lack."""

MISSING_COLUMNS_HINT: Final = (
    "an unreleased version created the database, or someone changed it: use an empty database, or restore the columns"
)


def missing_columns(connection: psycopg.Connection[Any]) -> list[str]:
    """Return the missing columns as `table.column`. Raises psycopg.Error."""
    wanted = [(table.name, column) for table in TABLES for column in table.key + table.columns]
    found = connection.execute(MISSING_COLUMNS, [*map(list, zip(*wanted, strict=True))])
    return [name for (name,) in found]
