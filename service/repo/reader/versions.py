"""Turns the rows of HISTORY into the versions of an order."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from service.entities.version import RecordCoordinates
from service.pkg.timestamps import from_microseconds
from service.usecases.ports.reads import OrderHistory, OrderVersion


class _Row(NamedTuple):
    """A row of HISTORY. The stored version has no number, and was not replaced."""

    number: int | None
    topic: bytes
    partition: int
    offset: int
    timestamp_ms: int
    stored_us: int
    replaced_us: int | None
    changed_fields: list[bytes] | None


def history_of(found: Sequence[tuple[Any, ...]]) -> OrderHistory | None:
    """Return the versions in these rows, newest first; None if there are no rows."""
    if not found:
        return None
    rows = [_Row._make(row) for row in found]
    versions = [_version(row, before) for row, before in pairwise([*rows, None]) if row]
    replaced = rows[1].number if len(rows) > 1 else None
    return OrderHistory(replaced or 0, versions)


def _version(row: _Row, before: _Row | None) -> OrderVersion:
    source = RecordCoordinates(row.timestamp_ms, row.partition, row.offset, row.topic.decode())
    return OrderVersion(source, from_microseconds(row.stored_us), before and _changed_fields(row, before))


def _changed_fields(row: _Row, before: _Row) -> list[str] | None:
    """Return what the replacement of `before` changed, unless replacements in between were not recorded."""
    if before.changed_fields is None or before.replaced_us != row.stored_us:
        return None
    return [name.decode() for name in before.changed_fields]
