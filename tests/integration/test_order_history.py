"""The versions of orders that a replacement records, as `OrderReader.history` returns them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from service.entities.version import VersionedOrder
from service.errors import OrderRejected
from service.repo.shards import shard_of
from service.repo.writer.order_store import PostgresOrderStore
from service.usecases.ports.ingest import StoreCounts
from service.usecases.ports.reads import OrderHistory, OrderReader
from service.usecases.retention import KEEP_FOREVER
from tests.kit.factories import SAMPLE, versioned
from tests.kit.readers import RealReads
from tests.kit.stores import erasing, writing

COUNT = "SELECT count(*) FROM order_versions"
ITEM = SAMPLE["items"][0]


@contextmanager
def recording(dsn: str, max_versions: int) -> Iterator[PostgresOrderStore]:
    with writing(dsn, "timestamp", KEEP_FOREVER, lambda: datetime.now(UTC), max_versions) as opened:
        yield opened


def history(dsn: str, uid: str = "a") -> OrderHistory:
    found = RealReads(dsn).read(lambda reader: reader.history(uid))
    assert found
    return found


def count(admin: psycopg.Connection) -> int:
    ((number,),) = admin.execute(COUNT).fetchall()
    return int(number)


def test_a_new_order_and_the_same_document_again_record_nothing(
    database: str, writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    writer.store([versioned(1, order_uid="a"), versioned(1, order_uid="b")])
    assert writer.store([versioned(2, order_uid="a")]) == StoreCounts(unchanged=1)
    assert count(admin) == 0
    ((version,), replacements) = history(database).versions, history(database).replacements
    assert (version.source, version.changed_fields, replacements) == (versioned(2).source, None, 0)


def test_each_replaced_version_is_recorded_with_its_record_and_its_time(
    database: str, writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    stored = [versioned(number, partition=number, timestamp_ms=number * 1_001, order_uid="a", sm_id=number)
              for number in range(1, 4)]  # fmt: skip
    times = []
    for each in stored:
        writer.store([each, versioned(number := each.source.offset, order_uid="other", entry=str(number))])
        times += admin.execute("SELECT stored_at FROM orders WHERE order_uid = 'a'").fetchall()
    found = history(database)
    assert found.replacements == 2
    assert [version.source for version in found.versions] == [each.source for each in reversed(stored)]
    assert [(version.stored_at,) for version in found.versions] == times[::-1]
    assert [version.changed_fields for version in found.versions] == [["sm_id"], ["sm_id"], None]
    assert history(database, "other").replacements == 2


def test_a_record_of_the_same_document_counts_as_the_source_of_the_version(
    database: str, writer: PostgresOrderStore
) -> None:
    for offset, entry in ((1, "x"), (2, "x"), (3, "y")):
        writer.store([versioned(offset, order_uid="a", entry=entry)])
    assert [version.source.offset for version in history(database).versions] == [3, 2]


def test_an_erased_order_has_the_time_of_its_erasure_instead_of_versions(
    database: str, writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    writer.store([versioned(1, order_uid="a"), versioned(2, order_uid="b")])
    with erasing(database) as erasures:
        erasures.erase(["a"])
    ((time,),) = admin.execute("SELECT erased_at FROM erased").fetchall()

    async def read(reader: OrderReader, uid: str) -> tuple[OrderHistory | None, datetime | None]:
        return await reader.history(uid), await reader.erased_at(uid)

    versions, erased_at = RealReads(database).read(lambda reader: read(reader, "a"))
    assert (versions, erased_at) == (None, time)
    assert erased_at is not None
    assert erased_at.tzinfo is UTC  # whatever the zone of the session, and of this machine
    assert RealReads(database).read(lambda reader: read(reader, "b"))[1] is None


def test_only_paths_are_recorded_and_no_values(
    database: str, writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    writer.store([versioned(1, order_uid="a")])
    marked: dict[str, Any] = {"delivery": {"email": "mark@mark.example"}, "payment": {"bank": "mark"}}
    writer.store([versioned(2, order_uid="a", customer_id="mark", items=[ITEM | {"name": "mark"}], **marked)])
    writer.store([versioned(3, order_uid="a")])
    newest, before, _ = history(database).versions
    assert newest.changed_fields == before.changed_fields
    assert newest.changed_fields == ["customer_id", "delivery.email", "payment.bank", "items[].name"]
    assert "mark" not in str(admin.execute("SELECT * FROM order_versions").fetchall())


def test_the_number_of_versions_is_limited_and_their_numbers_grow(database: str, admin: psycopg.Connection) -> None:
    with recording(database, 3) as writer:
        for offset in range(6):
            writer.store([versioned(offset, order_uid="a", sm_id=offset), versioned(offset, order_uid="b", sm_id=1)])
    found = history(database)
    assert found.replacements == 5
    assert [version.source.offset for version in found.versions] == [5, 4, 3, 2]
    assert [version.changed_fields for version in found.versions] == [["sm_id"]] * 3 + [None]
    with recording(database, 1) as writer:
        writer.store([versioned(6, order_uid="a", sm_id=6)])
    assert [version.source.offset for version in history(database).versions] == [6, 5]
    assert count(admin) == 1


def test_a_limit_of_zero_records_nothing_and_keeps_what_is_recorded(database: str, writer: PostgresOrderStore) -> None:
    writer.store([versioned(1, order_uid="a")])
    writer.store([versioned(2, order_uid="a", entry="2")])
    with recording(database, 0) as other:
        assert other.store([versioned(3, order_uid="a", entry="3")]) == StoreCounts(replaced=1)
    writer.store([versioned(4, order_uid="a", sm_id=4)])
    newest, unknown, first = history(database).versions
    assert (newest.changed_fields, unknown.changed_fields, first.changed_fields) == (["entry", "sm_id"], None, None)
    assert [version.source.offset for version in (newest, unknown, first)] == [4, 3, 1]


def test_the_changes_of_a_document_that_cannot_be_read_are_unknown(
    database: str, writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    writer.store([versioned(1, order_uid="a")])
    admin.execute("UPDATE payments SET currency = 'usd'")
    writer.store([versioned(2, order_uid="a")])
    assert [version.changed_fields for version in history(database).versions] == [None, None]


def test_orders_with_the_same_id_in_different_shards_have_their_own_history(
    database: str, writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    first, second = (next(uid for uid in map(str, range(9_999)) if shard_of(uid) == shard) for shard in (1, 2))
    writer.store([versioned(1, order_uid=first)])
    admin.execute("ALTER SEQUENCE orders_id_seq RESTART")
    with recording(database, 20) as other:
        other.store([versioned(1, order_uid=second)])
    writer.store([versioned(2, order_uid=first, entry="other")])
    assert (history(database, first).replacements, history(database, second).replacements) == (1, 0)


def test_a_rolled_back_batch_records_nothing(writer: PostgresOrderStore, admin: psycopg.Connection) -> None:
    writer.store([versioned(1, order_uid="a")])
    admin.execute("ALTER TABLE items ADD CONSTRAINT no_poison CHECK (name <> 'poison')")
    with pytest.raises(OrderRejected):
        writer.store([versioned(2, order_uid="a", items=[ITEM | {"name": "poison"}])])
    assert count(admin) == 0


# Deletion


@pytest.fixture
def replaced(writer: PostgresOrderStore) -> list[VersionedOrder]:
    """Two orders with one replaced version each."""
    for offset in (1, 2):
        orders = [versioned(offset, order_uid=uid, entry=str(offset)) for uid in ("a", "b")]
        writer.store(orders)
    return orders


@pytest.mark.usefixtures("replaced")
def test_an_erased_order_has_no_history(database: str, admin: psycopg.Connection) -> None:
    with erasing(database) as erasures:
        erasures.erase(["a"])
    assert count(admin) == 1
    assert RealReads(database).read(lambda reader: reader.history("a")) is None
    assert history(database, "b").replacements == 1


def test_an_unknown_order_has_no_history(database: str, writer: PostgresOrderStore) -> None:
    writer.store([versioned(1, order_uid="A")])
    assert RealReads(database).read(lambda reader: reader.history("a")) is None


def test_the_time_zone_of_a_session_changes_no_time(database: str, replaced: list[VersionedOrder]) -> None:
    utc = history(database)
    elsewhere = history(f"{database}?options=-ctimezone%3DAsia/Kolkata")
    assert elsewhere == utc
    assert utc.versions[0].stored_at.utcoffset() == timedelta(0)
    assert utc.versions[0].source == replaced[0].source
