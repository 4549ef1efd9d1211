"""The reads of the writer: versions, erasures and documents of the orders of a batch."""

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple, Self

import msgspec
import psycopg

from service.entities.order import Order
from service.entities.version import RecordCoordinates
from service.repo.document import DOCUMENT, FROM_ORDERS, milliseconds
from service.repo.writer.erased import ERASED_AMONG

Cursor = psycopg.Cursor[tuple[Any, ...]]

_VERSION: Final = f"""\
o.order_uid, o.id, o.shard, {milliseconds("o.source_timestamp")},
o.source_partition, o.source_offset, o.source_topic"""
"""The fields of StoredVersion, then of its `source`."""

VERSIONS_AND_ERASED: Final = f"""\
SELECT {_VERSION} FROM orders o
WHERE o.order_uid = ANY(string_to_array(%(uids)s, ','))
UNION ALL SELECT uid, NULL, NULL, NULL, NULL, NULL, NULL FROM ({ERASED_AMONG}) e"""
"""The stored orders among these comma-separated ones, and a row of NULLs for each that was erased. Uses the
unique key of `order_uid`, and the primary key of `erased`."""

STORED_DOCUMENTS: Final = f"SELECT {_VERSION}, {DOCUMENT} {FROM_ORDERS} WHERE o.order_uid = ANY(%s)"
"""Versions and documents to compare with newer ones. Uses the unique key of `order_uid` and the primary keys of the
child tables."""


class StoredVersion(NamedTuple):
    """The key of a stored order, and the record that it was written from."""

    order_uid: str
    id: int
    shard: int
    source: RecordCoordinates

    @classmethod
    def read(cls, row: Sequence[Any]) -> Self:
        """Return the version in a row of _VERSION."""
        uid, order_id, shard, *source = row
        return cls(uid, order_id, shard, RecordCoordinates(*source))


def stored_versions(cursor: Cursor, uids: Collection[str]) -> tuple[dict[str, StoredVersion], set[str]]:
    """Return the versions of the stored orders, and the uids that were erased, even if they are stored."""
    found = cursor.execute(VERSIONS_AND_ERASED, {"uids": ",".join(uids)}).fetchall()
    erased = {uid for uid, order_id, *_ in found if order_id is None}
    return {row[0]: StoredVersion.read(row) for row in found if row[0] not in erased}, erased


def stored_documents(cursor: Cursor, uids: Sequence[str]) -> dict[str, tuple[StoredVersion, Order | None]]:
    """Return versions and documents from one snapshot. Orders without child rows are missing."""
    found = cursor.execute(STORED_DOCUMENTS, [uids])
    return {row[0]: (StoredVersion.read(row), _decode(document)) for *row, document in found}


def _decode(text: str) -> Order | None:
    """Return a stored document, or None if this release would not accept it (an earlier one did)."""
    try:
        return msgspec.json.decode(text, type=Order)
    except msgspec.ValidationError:
        return None
