"""Rows that the writer stores, and the notifications that it sends.

tests/integration/test_order_store.py tests which orders count as new, replaced, unchanged and stale.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any, LiteralString

import psycopg
import pytest
from msgspec.structs import replace

from service.entities.order import MAX_BIGINT, MAX_ITEMS
from service.entities.version import RecordCoordinates, VersionedOrder
from service.errors import OrderRejected
from service.repo.document import DOCUMENT, FROM_ORDERS, rfc3339_expression
from service.repo.notifications import MAX_PAYLOAD_BYTES, parse
from service.repo.transactions import Transactions
from service.repo.writer.order_store import PostgresOrderStore
from service.repo.writer.stored_orders import VERSIONS_AND_ERASED
from service.usecases.ports.ingest import StoreCounts
from service.usecases.ports.reads import Notification
from tests.kit.factories import SAMPLE, connection_settings, order, versioned
from tests.kit.notifications import listen
from tests.kit.partitions import TABLES, disable_autovacuum
from tests.kit.stores import stored_order, writing

ITEM = SAMPLE["items"][0]


def column(admin: psycopg.Connection, query: LiteralString, *values: Any) -> Any:
    row = admin.execute(query, values).fetchone()
    assert row
    return row[0]


def rejection(writer: PostgresOrderStore, orders: Sequence[VersionedOrder]) -> OrderRejected:
    with pytest.raises(OrderRejected) as caught:
        writer.store(orders)
    return caught.value


# Round trips


def test_the_sample_survives_a_round_trip(writer: PostgresOrderStore, admin: psycopg.Connection) -> None:
    sample = order(order_uid="b563feb7b2b84b6test")
    writer.store([VersionedOrder(sample, RecordCoordinates(1_637_907_739_123, 2, 42, "orders"))])
    assert stored_order(admin, "b563feb7b2b84b6test") == sample
    origin = admin.execute(
        "SELECT source_topic, source_partition, source_offset, extract(epoch FROM source_timestamp) * 1000 FROM orders"
    ).fetchone()
    assert origin == ("orders", 2, 42, 1_637_907_739_123)


AWKWARD = [
    "\t", "\n", "\r", "\r\n", "\\", "\\\\", r"\N", r"\n", r"\.", "\\\n", "\n\\.\n", "\x01", "\x08\x0b\x0c\x1b\x7f",
    "\x85", "\u2028\u2029", "🧘🏽‍♀️", "ß", "é", "e\u0301", "\ufeff", "\ufffe", "\U0010ffff", "'", '"',
    "''; DROP TABLE orders --", "$$", "{}", "%s", "NULL", "null", "a\tb", " a ", "\u00a0", "٣", "עברית", '{"a":1}',
]  # fmt: skip


def awkward_texts(count: int) -> list[str]:
    draw = random.Random(7)  # noqa: S311
    return [*AWKWARD, *("".join(draw.choices(AWKWARD, k=draw.randint(2, 8))) for _ in range(count))]


def awkward_order(text: str, offset: int) -> VersionedOrder:
    return versioned(
        offset,
        order_uid=f"awkward-{offset}",
        entry=text,
        internal_signature=text,
        delivery={"name": text, "city": text},
        payment={"bank": text, "request_id": text},
        items=[ITEM | {"name": text, "rid": text}, ITEM],
    )


def test_any_text_survives_an_insert_and_a_replacement(writer: PostgresOrderStore, admin: psycopg.Connection) -> None:
    orders = [awkward_order(text, offset) for offset, text in enumerate(awkward_texts(100))]
    plain = [versioned(offset, timestamp_ms=1, order_uid=f"awkward-{offset}") for offset in range(0, len(orders), 2)]
    writer.store(plain)
    assert writer.store(orders) == StoreCounts(new=len(orders) // 2, replaced=len(plain))
    for each in orders:
        assert stored_order(admin, each.order.order_uid) == each.order
    assert writer.store([replace(each, source=each.source._replace(offset=9_999)) for each in orders]) == StoreCounts(
        unchanged=len(orders)
    )


def test_the_client_encoding_of_the_environment_is_ignored(
    database: str, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    text = order(order_uid="a", delivery={"city": "Zürich 🧘"})
    with writing(database) as writer:
        writer.store([VersionedOrder(text, versioned().source)])
    monkeypatch.delenv("PGCLIENTENCODING")
    assert stored_order(admin, "a") == text


@pytest.mark.parametrize(
    "date",
    ["0001-01-02T00:00:00Z", "0099-12-31T23:59:59.000001Z", "9999-12-31T23:59:59.999999Z", "2021-11-26T06:22:19.5Z",
     "2021-11-26T06:22:19.000100Z"],
)  # fmt: skip
def test_any_date_survives_a_round_trip(writer: PostgresOrderStore, admin: psycopg.Connection, date: str) -> None:
    dated = versioned(1, order_uid="a", date_created=date)
    writer.store([dated])
    assert stored_order(admin, "a") == dated.order
    assert column(admin, f"SELECT {DOCUMENT}::json ->> 'date_created' {FROM_ORDERS}") in {date, date.rstrip("0Z") + "Z"}
    assert writer.store([replace(dated, source=versioned(2).source)]) == StoreCounts(unchanged=1)


def test_the_greatest_numbers_and_most_items_survive_a_round_trip(
    writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    greatest = {"chrt_id": MAX_BIGINT, "nm_id": MAX_BIGINT, "price": MAX_BIGINT, "total_price": MAX_BIGINT}
    amounts = dict.fromkeys(["amount", "payment_dt", "delivery_cost", "goods_total", "custom_fee"], MAX_BIGINT)
    items = [ITEM | greatest | {"rid": str(number)} for number in range(MAX_ITEMS)]
    huge = versioned(2**62, partition=2**31 - 1, order_uid="a" * 64, sm_id=MAX_BIGINT, payment=amounts, items=items)
    writer.store([huge])
    assert stored_order(admin, "a" * 64) == huge.order


OPTIONAL = [(None, None), ("", None), (None, ""), ("", ""), ("x", "y")]


@pytest.mark.parametrize("before", OPTIONAL)
def test_absent_and_empty_texts_stay_distinct(
    writer: PostgresOrderStore, admin: psycopg.Connection, before: tuple[Any, Any]
) -> None:
    def with_texts(texts: tuple[Any, Any], offset: int) -> VersionedOrder:
        base = order(order_uid="a")
        payment = replace(base.payment, request_id=texts[1])
        return VersionedOrder(replace(base, internal_signature=texts[0], payment=payment), versioned(offset).source)

    for offset, texts in enumerate([before, *OPTIONAL]):
        expected = with_texts(texts, offset)
        writer.store([expected])
        assert stored_order(admin, "a") == expected.order


# Versions


def test_a_replacement_removes_all_rows_of_the_earlier_version(
    writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    many = versioned(1, order_uid="a", items=[ITEM | {"rid": str(number)} for number in range(5)])
    few = versioned(
        2, order_uid="a", items=[ITEM | {"rid": "x"}, ITEM | {"rid": "y"}], entry="2", delivery={"city": "2"}
    )
    other = versioned(1, order_uid="b", items=[ITEM] * 3)
    writer.store([many, other])
    writer.store([few])
    assert stored_order(admin, "a") == few.order
    assert column(admin, "SELECT count(*) FROM items JOIN orders o ON o.id = order_id WHERE order_uid = 'a'") == 2
    assert stored_order(admin, "b") == other.order


def test_a_replacement_may_have_more_items(writer: PostgresOrderStore, admin: psycopg.Connection) -> None:
    writer.store([versioned(1, order_uid="a")])
    more = versioned(2, order_uid="a", items=[ITEM] * 7)
    writer.store([more])
    assert stored_order(admin, "a") == more.order


def test_a_stale_order_changes_nothing(writer: PostgresOrderStore, admin: psycopg.Connection) -> None:
    newer = versioned(5, order_uid="a", items=[ITEM] * 2)
    writer.store([newer])
    before = admin.execute("SELECT * FROM orders").fetchall()
    writer.store([versioned(4, order_uid="a", entry="stale", items=[ITEM] * 9)])
    assert admin.execute("SELECT * FROM orders").fetchall() == before
    assert stored_order(admin, "a") == newer.order


def test_the_same_document_updates_only_the_version(writer: PostgresOrderStore, admin: psycopg.Connection) -> None:
    rows = "SELECT o.stored_at, d.ctid, p.ctid, i.ctid FROM orders o, deliveries d, payments p, items i"
    writer.store([versioned(1, order_uid="a")])
    before = admin.execute(rows).fetchall()
    writer.store([versioned(2, partition=3, timestamp_ms=9_000, order_uid="a")])
    assert admin.execute(rows).fetchall() == before
    version = admin.execute("SELECT source_partition, source_offset, extract(epoch FROM source_timestamp) FROM orders")
    assert version.fetchall() == [(3, 2, 9)]


def test_a_replacement_updates_stored_at(writer: PostgresOrderStore, admin: psycopg.Connection) -> None:
    writer.store([versioned(1, order_uid="a")])
    before = column(admin, "SELECT stored_at FROM orders")
    writer.store([versioned(2, order_uid="a", entry="other")])
    assert column(admin, "SELECT stored_at FROM orders") > before


def test_versions_can_be_compared_by_offset_before_timestamp(database: str, admin: psycopg.Connection) -> None:
    with writing(database, "offset") as writer:
        writer.store([versioned(5, timestamp_ms=9_000, order_uid="a")])
        later = versioned(6, timestamp_ms=1_000, order_uid="a", entry="later")
        assert writer.store([later]) == StoreCounts(replaced=1)
        assert writer.store([versioned(5, timestamp_ms=9_999, order_uid="a", entry="stale")]) == StoreCounts(stale=1)
        assert writer.store([versioned(1, timestamp_ms=999, partition=1, order_uid="a", entry="x")]) == StoreCounts(
            stale=1
        )
        assert stored_order(admin, "a") == later.order
        both = [versioned(9, timestamp_ms=1, order_uid="b", entry="9"), versioned(8, timestamp_ms=5, order_uid="b")]
        writer.store(both)
        assert stored_order(admin, "b") == both[0].order


def test_rows_deleted_manually_are_restored_by_the_next_version(
    writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    writer.store([versioned(1, order_uid="a")])
    admin.execute("DELETE FROM deliveries")
    again = versioned(2, order_uid="a")
    assert writer.store([again]) == StoreCounts(replaced=1)
    assert stored_order(admin, "a") == again.order


def test_a_stored_document_that_violates_a_newer_rule_is_replaced(
    writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    writer.store([versioned(1, order_uid="a")])
    admin.execute("UPDATE payments SET currency = 'usd'")
    assert writer.store([versioned(2, order_uid="a")]) == StoreCounts(replaced=1)


# Plans


@pytest.mark.plain_tables
def test_a_batch_looks_up_its_uids_while_the_tables_were_never_analyzed(
    database: str, writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    disable_autovacuum(admin, *TABLES)
    uids = [f"uid-{number}" for number in range(8_000)]
    for start in range(0, len(uids), 2_000):
        writer.store([versioned(1, order_uid=uid) for uid in uids[start : start + 2_000]])
    batch = ",".join(uids[::4])
    with closing(Transactions(connection_settings(database, "tests"))) as reading, reading.begin() as connection:
        plan = str(connection.execute(f"EXPLAIN {VERSIONS_AND_ERASED}", {"uids": batch}).fetchall())
    assert "orders_order_uid_shard_key" in plan
    assert "orders_pkey" not in plan


# Notifications


@pytest.fixture
def received(database: str) -> Iterator[Callable[[], list[Notification]]]:
    """A function that returns the notifications received since its last call."""
    with psycopg.connect(database, autocommit=True) as listener:
        listen(listener)

        def receive() -> list[Notification]:
            payloads = [notify.payload for notify in listener.notifies(timeout=0.2)]
            assert all(len(payload.encode()) <= MAX_PAYLOAD_BYTES for payload in payloads)
            parsed = [parse(payload) for payload in payloads]
            return [each for each in parsed if each is not None]

        yield receive


def test_only_new_and_changed_orders_are_notified(
    writer: PostgresOrderStore, received: Callable[[], list[Notification]]
) -> None:
    writer.store([versioned(5, order_uid=uid) for uid in ("same", "moved", "stale", "changed")])
    assert uids_of(received()) == [(["changed", "moved", "same", "stale"], [])]
    writer.store(
        [
            versioned(5, order_uid="same"),
            versioned(6, order_uid="moved"),
            versioned(4, order_uid="stale", entry="other"),
            versioned(6, order_uid="changed", entry="other"),
            versioned(6, order_uid="new"),
        ]
    )
    assert uids_of(received()) == [(["new"], []), ([], ["changed"])]
    writer.store([versioned(7, order_uid="moved"), versioned(4, order_uid="stale", entry="other")])
    assert received() == []


def uids_of(notifications: list[Notification]) -> list[tuple[list[str], list[str]]]:
    return [(each.new, each.changed) for each in notifications]


def test_notifications_have_the_times_and_versions_that_are_stored(
    writer: PostgresOrderStore, admin: psycopg.Connection, received: Callable[[], list[Notification]]
) -> None:
    writer.store([versioned(1, order_uid="a"), versioned(1, order_uid="b", timestamp_ms=7)])
    writer.store([versioned(3, order_uid="a", entry="other"), versioned(4, order_uid="c")])
    first, new, changed = received()
    assert (first.new, new.new, changed.changed) == (["a", "b"], ["c"], ["a"])
    version = "(extract(epoch FROM source_timestamp) * 1000)::bigint, source_partition, source_offset"
    statement = f"SELECT order_uid, {rfc3339_expression('stored_at')}, {version} FROM orders ORDER BY order_uid"  # noqa: S608
    stored = admin.execute(statement.encode()).fetchall()
    notified = {"a": changed, "b": first, "c": new}
    versions = {"a": changed.versions[0], "b": first.versions[1], "c": new.versions[0]}
    assert [(uid, notified[uid].stored_at, *versions[uid]) for uid in sorted(versions)] == stored


def test_a_full_batch_is_notified_in_a_few_payloads(
    writer: PostgresOrderStore, received: Callable[[], list[Notification]]
) -> None:
    uids = [f"{number:064}" for number in range(1_000)]
    writer.store([versioned(1, order_uid=uid) for uid in uids])
    notifications = received()
    assert [uid for each in notifications for uid in each.new] == uids
    assert len(notifications) == 10


def test_readers_are_notified_although_only_the_writer_quotes_all_identifiers(
    database: str, received: Callable[[], list[Notification]]
) -> None:
    with writing(f"{database}?options=-cquote_all_identifiers%3Don") as quoting:
        quoting.store([versioned(1, order_uid="new")])
    assert uids_of(received()) == [(["new"], [])]


def test_a_rejected_batch_is_not_notified(
    writer: PostgresOrderStore, admin: psycopg.Connection, received: Callable[[], list[Notification]]
) -> None:
    admin.execute("ALTER TABLE orders ADD CHECK (customer_id <> 'poison')")
    with pytest.raises(OrderRejected):
        writer.store([versioned(1), versioned(1, customer_id="poison")])
    assert received() == []
