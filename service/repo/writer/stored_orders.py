"""The reads of the writer: versions, erasures and documents of the orders of a batch."""

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import psycopg

from service.entities.order import Order
from service.entities.version import RecordCoordinates
from service.repo.document import DOCUMENT, FROM_ORDERS
from service.repo.writer.erased import ERASED_AMONG

Cursor = psycopg.Cursor[tuple[Any, ...]]

_VERSION: Final = """\
o.id, o.shard, (extract(epoch FROM o.source_timestamp) * 1000)::bigint,
o.source_partition, o.source_offset, o.source_topic"""

VERSIONS_AND_ERASED: Final = f"""\
SELECT o.order_uid, {_VERSION} FROM orders o
WHERE o.order_uid = ANY(string_to_array(%(uids)s, ','))
UNION ALL SELECT uid, NULL, NULL, NULL, NULL, NULL, NULL FROM ({ERASED_AMONG}) e"""
"""The stored orders among these comma-separated ones, and a row of NULLs for each that was erased. Uses the index of
`order_uid`."""

STORED_DOCUMENTS: Final = f"SELECT o.order_uid, {_VERSION}, {DOCUMENT} {FROM_ORDERS} WHERE o.order_uid = ANY(%s)"


class StoredVersion(NamedTuple):
    """The row of a stored order: its key and the record that it was written from."""

    id: int
    shard: int
    source: RecordCoordinates


def stored_versions(cursor: Cursor, uids: Collection[str]) -> tuple[dict[str, StoredVersion], set[str]]:
    """Return the versions of the stored orders, and the uids that were erased, even if they are stored."""
    found = cursor.execute(VERSIONS_AND_ERASED, {"uids": ",".join(uids)}).fetchall()
    erased = {uid for uid, order_id, *_ in found if order_id is None}
    return {uid: _stored_version(*row) for uid, *row in found if uid not in erased}, erased


def stored_documents(cursor: Cursor, uids: Sequence[str]) -> dict[str, tuple[StoredVersion, Order | None]]:
    """Return versions and documents from one snapshot. Orders without child rows are missing."""
    found = cursor.execute(STORED_DOCUMENTS, [uids])
    return {uid: (_stored_version(*row), _decode(document)) for uid, *row, document in found}


def _stored_version(order_id: int, shard: int, *coordinates: Any) -> StoredVersion:
    return StoredVersion(order_id, shard, RecordCoordinates(*coordinates))


def _decode(text: str) -> Order | None:
    """Return a stored document, or None if this release would not accept it (an earlier one did)."""
    try:
        return msgspec.json.decode(text, type=Order)
    except msgspec.ValidationError:
        return None
