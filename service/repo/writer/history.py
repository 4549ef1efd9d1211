"""Records the versions of orders that are replaced. Only a replacement pays for it, not a new order.

A version has a number within its order, so the newest number is also the number of recorded replacements.
"""

from collections.abc import Sequence
from typing import Final

from service.repo.writer.stored_orders import Cursor
from service.repo.writer.updates import Update, key_of, source_of, to_json

INSERT_VERSIONS: Final = """\
INSERT INTO order_versions (order_id, number, shard, source_topic, source_partition, source_offset, source_timestamp,
    stored_at, replaced_at, changed_fields)
SELECT o.id,
    1 + coalesce((SELECT max(v.number) FROM order_versions v WHERE v.order_id = o.id AND v.shard = o.shard), 0),
    o.shard, n.source_topic, n.source_partition, n.source_offset, n.source_timestamp,
    o.stored_at, now(), n.changed_fields
FROM orders o JOIN json_to_recordset(%s::json) AS n(
    id bigint, shard smallint,
    source_topic text, source_partition integer, source_offset bigint, source_timestamp timestamptz,
    changed_fields text[]) ON o.id = n.id AND o.shard = n.shard
RETURNING order_id, shard, number"""
"""Records the stored versions of orders, between UPDATE_VERSION, which locks them, and REPLACE, which sets `stored_at`.
Uses the primary keys."""

DELETE_VERSIONS: Final = """\
DELETE FROM order_versions v USING unnest(%(ids)s::bigint[], %(shards)s::smallint[], %(numbers)s::integer[])
    AS k (id, shard, number)
WHERE v.order_id = k.id AND v.shard = k.shard AND v.number <= k.number"""
"""Deletes the versions of each order up to a number. Uses the primary key."""

DELETE_HISTORIES: Final = """\
DELETE FROM order_versions v USING unnest(%(ids)s::bigint[], %(shards)s::smallint[]) k (id, shard)
WHERE v.order_id = k.id AND v.shard = k.shard"""
"""Deletes all recorded versions of orders that are deleted afterwards. Uses the primary key."""


def record_replaced(cursor: Cursor, replaced: Sequence[Update], max_versions: int) -> None:
    """Record the stored versions, and keep at most `max_versions` of each order. Their rows must be locked."""
    rows = [
        key_of(update) | source_of("source", update.stored.source) | {"changed_fields": update.changed_fields}
        for update in replaced
    ]
    recorded = cursor.execute(INSERT_VERSIONS, [to_json(rows)]).fetchall()
    surplus = [row for row in recorded if row[2] > max_versions]
    if surplus:
        values = {
            "ids": [order_id for order_id, _, _ in surplus],
            "shards": [shard for _, shard, _ in surplus],
            "numbers": [number - max_versions for _, _, number in surplus],
        }
        cursor.execute(DELETE_VERSIONS, values)
