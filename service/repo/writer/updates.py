"""Updates of stored orders to a greater version."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from service.entities.order import Order
from service.entities.version import RecordCoordinates, VersionedOrder
from service.errors import ConcurrentChange
from service.pkg.timestamps import from_milliseconds
from service.repo.columns import DELIVERIES, ITEMS, PAYMENTS, fields
from service.repo.writer.stored_orders import Cursor, StoredVersion

UPDATE_VERSION: Final = """\
UPDATE orders o
SET source_topic = n.source_topic, source_partition = n.source_partition,
    source_offset = n.source_offset, source_timestamp = n.source_timestamp
FROM json_to_recordset(%s::json) AS n(
    id bigint, shard smallint,
    source_topic text, source_partition integer, source_offset bigint, source_timestamp timestamptz,
    read_topic text, read_partition integer, read_offset bigint, read_timestamp timestamptz)
WHERE o.id = n.id AND o.shard = n.shard
  AND o.source_topic = n.read_topic AND o.source_partition = n.read_partition
  AND o.source_offset = n.read_offset AND o.source_timestamp = n.read_timestamp"""
"""Gives orders a greater version, unless the stored one is not the one that was read. Locks them until the commit.
Uses the primary key."""

REPLACE: Final = f"""\
UPDATE orders o
SET {", ".join(f"{name} = n.{name}" for name in fields(Order))}, stored_at = now()
FROM json_populate_recordset(NULL::orders, %s::json) n
WHERE o.id = n.id AND o.shard = n.shard"""
"""Follows UPDATE_VERSION for a different document: its child rows are deleted, then copied. Uses the primary key."""

DELETE_CHILDREN: Final = [
    f"""\
DELETE FROM {table.name} t USING unnest(%(ids)s::bigint[], %(shards)s::smallint[]) k (id, shard)
WHERE t.order_id = k.id AND t.shard = k.shard"""
    for table in (DELIVERIES, PAYMENTS, ITEMS)
]
"""Delete the child rows of orders. Use the primary keys. Each id has its own shard: two orders could have one id."""


class Update(NamedTuple):
    """An order that is stored with a smaller version."""

    new: VersionedOrder
    stored: StoredVersion
    changed_fields: Sequence[str] | None = None
    """The paths that differ from the stored document; None if that could not be read."""


def update_versions(cursor: Cursor, updates: Sequence[Update]) -> None:
    """Raise ConcurrentChange if another writer has changed or deleted one of the orders."""
    by_uid = sorted(updates, key=lambda update: update.new.order.order_uid)
    rows = [
        key_of(update) | source_of("source", update.new.source) | source_of("read", update.stored.source)
        for update in by_uid
    ]
    if cursor.execute(UPDATE_VERSION, [to_json(rows)]).rowcount < len(updates):
        raise ConcurrentChange("another writer changed an order at the same time")


def replace(cursor: Cursor, replaced: Sequence[Update]) -> None:
    names = fields(Order)
    rows = [key_of(update) | {name: getattr(update.new.order, name) for name in names} for update in replaced]
    cursor.execute(REPLACE, [to_json(rows)])
    keys = {"ids": [update.stored.id for update in replaced], "shards": [update.stored.shard for update in replaced]}
    for statement in DELETE_CHILDREN:
        cursor.execute(statement, keys)


def key_of(update: Update) -> dict[str, Any]:
    return {"id": update.stored.id, "shard": update.stored.shard}


def source_of(prefix: str, source: RecordCoordinates) -> dict[str, Any]:
    return {
        f"{prefix}_topic": source.topic,
        f"{prefix}_partition": source.partition,
        f"{prefix}_offset": source.offset,
        f"{prefix}_timestamp": from_milliseconds(source.timestamp_ms),
    }


def to_json(rows: list[dict[str, Any]]) -> str:
    return msgspec.json.encode(rows).decode()
