"""Rows that the writer stores, and the errors it raises for rejected orders, locks, timeouts and unresponsive servers.

tests/integration/test_order_store.py tests which orders count as new, replaced, unchanged and stale.
"""

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, LiteralString

import msgspec
import psycopg
import pytest
from msgspec.structs import replace

from service.entities.order import MAX_BIGINT, MAX_ITEMS, Order
from service.entities.version import CompareBy, RecordCoordinates, VersionedOrder
from service.errors import ConcurrentChange, OrderRejected, StatementTimedOut, StorageError, StorageUnavailable
from service.repo.connection import GRACE_SECONDS
from service.repo.document import DOCUMENT, FROM_ORDERS
from service.repo.notifications import MAX_PAYLOAD_BYTES, Notification, parse
from service.repo.shards import shard_of
from service.repo.transactions import Transactions
from service.repo.writer.order_store import PostgresOrderStore
from service.repo.writer.stored_orders import VERSIONS_AND_ERASED
from service.usecases.ports import Stored
from tests.kit.factories import SAMPLE, connection_settings, order, versioned
from tests.kit.notifications import listen
from tests.kit.partitions import partition
from tests.kit.waiting import eventually

if TYPE_CHECKING:
    from local.postgres import Postgres

ITEM = SAMPLE["items"][0]
WAITING_FOR_LOCK: LiteralString = """\
SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'tests'"""


@contextmanager
def writing(dsn: str, compare_by: CompareBy = "timestamp", **settings: Any) -> Iterator[PostgresOrderStore]:
    with closing(PostgresOrderStore(Transactions(connection_settings(dsn, "tests", **settings)), compare_by)) as writer:
        yield writer


@pytest.fixture
def writer(database: str) -> Iterator[PostgresOrderStore]:
    with writing(database) as opened:
        yield opened


def stored(admin: psycopg.Connection, uid: str) -> Order:
    (row,) = admin.execute(f"SELECT {DOCUMENT} {FROM_ORDERS} WHERE o.order_uid = %s", [uid])
    return msgspec.json.decode(row[0], type=Order)


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
    assert stored(admin, "b563feb7b2b84b6test") == sample
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
    assert writer.store(orders) == Stored(new=len(orders) // 2, replaced=len(plain))
    for each in orders:
        assert stored(admin, each.order.order_uid) == each.order
    assert writer.store([each._replace(source=each.source._replace(offset=9_999)) for each in orders]) == Stored(
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
    assert stored(admin, "a") == text


@pytest.mark.parametrize(
    "date",
    ["0001-01-02T00:00:00Z", "0099-12-31T23:59:59.000001Z", "9999-12-31T23:59:59.999999Z", "2021-11-26T06:22:19.5Z",
     "2021-11-26T06:22:19.000100Z"],
)  # fmt: skip
def test_any_date_survives_a_round_trip(writer: PostgresOrderStore, admin: psycopg.Connection, date: str) -> None:
    dated = versioned(1, order_uid="a", date_created=date)
    writer.store([dated])
    assert stored(admin, "a") == dated.order
    assert column(admin, f"SELECT {DOCUMENT}::json ->> 'date_created' {FROM_ORDERS}") in {date, date.rstrip("0Z") + "Z"}
    assert writer.store([dated._replace(source=versioned(2).source)]) == Stored(unchanged=1)


def test_the_greatest_numbers_and_most_items_survive_a_round_trip(
    writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    greatest = {"chrt_id": MAX_BIGINT, "nm_id": MAX_BIGINT, "price": MAX_BIGINT, "total_price": MAX_BIGINT}
    amounts = dict.fromkeys(["amount", "payment_dt", "delivery_cost", "goods_total", "custom_fee"], MAX_BIGINT)
    items = [ITEM | greatest | {"rid": str(number)} for number in range(MAX_ITEMS)]
    huge = versioned(2**62, partition=2**31 - 1, order_uid="a" * 64, sm_id=MAX_BIGINT, payment=amounts, items=items)
    writer.store([huge])
    assert stored(admin, "a" * 64) == huge.order


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
        assert stored(admin, "a") == expected.order


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
    assert stored(admin, "a") == few.order
    assert column(admin, "SELECT count(*) FROM items JOIN orders o ON o.id = order_id WHERE order_uid = 'a'") == 2
    assert stored(admin, "b") == other.order


def test_a_replacement_may_have_more_items(writer: PostgresOrderStore, admin: psycopg.Connection) -> None:
    writer.store([versioned(1, order_uid="a")])
    more = versioned(2, order_uid="a", items=[ITEM] * 7)
    writer.store([more])
    assert stored(admin, "a") == more.order


def test_a_stale_order_changes_nothing(writer: PostgresOrderStore, admin: psycopg.Connection) -> None:
    newer = versioned(5, order_uid="a", items=[ITEM] * 2)
    writer.store([newer])
    before = admin.execute("SELECT * FROM orders").fetchall()
    writer.store([versioned(4, order_uid="a", entry="stale", items=[ITEM] * 9)])
    assert admin.execute("SELECT * FROM orders").fetchall() == before
    assert stored(admin, "a") == newer.order


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
        assert writer.store([later]) == Stored(replaced=1)
        assert writer.store([versioned(5, timestamp_ms=9_999, order_uid="a", entry="stale")]) == Stored(stale=1)
        assert writer.store([versioned(1, timestamp_ms=999, partition=1, order_uid="a", entry="x")]) == Stored(stale=1)
        assert stored(admin, "a") == later.order
        both = [versioned(9, timestamp_ms=1, order_uid="b", entry="9"), versioned(8, timestamp_ms=5, order_uid="b")]
        writer.store(both)
        assert stored(admin, "b") == both[0].order


def test_rows_deleted_manually_are_restored_by_the_next_version(
    writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    writer.store([versioned(1, order_uid="a")])
    admin.execute("DELETE FROM deliveries")
    again = versioned(2, order_uid="a")
    assert writer.store([again]) == Stored(replaced=1)
    assert stored(admin, "a") == again.order


def test_a_stored_document_that_violates_a_newer_rule_is_replaced(
    writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    writer.store([versioned(1, order_uid="a")])
    admin.execute("UPDATE payments SET currency = 'usd'")
    assert writer.store([versioned(2, order_uid="a")]) == Stored(replaced=1)


# Concurrent writers


Plan = list[tuple[int, list[str]]]
"""The batches of one writer: pairs of an offset and the uids of the orders that are stored with it."""


def random_plan(seed: int) -> Plan:
    draw = random.Random(seed)  # noqa: S311
    offsets = draw.sample(range(100), 100)
    return [(offset, draw.sample([f"order-{number}" for number in range(30)], 15)) for offset in offsets]


def test_concurrent_writers_lose_no_newer_version_and_do_not_deadlock(database: str, admin: psycopg.Connection) -> None:
    plans = [random_plan(seed) for seed in range(3)]
    writers = [Thread(target=execute_plan, args=[plan, database], daemon=True) for plan in plans]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in writers)
    newest: dict[str, int] = {}
    for offset, uids in (batch for plan in plans for batch in plan):
        newest |= {uid: max(offset, newest.get(uid, 0)) for uid in uids}
    assert len(newest) == 30
    for uid, offset in newest.items():
        assert stored(admin, uid) == version(uid, offset).order


def version(uid: str, offset: int) -> VersionedOrder:
    return versioned(offset, order_uid=uid, entry=f"{uid} {offset}", items=[ITEM] * (1 + offset % 3))


def execute_plan(plan: Plan, database: str) -> None:
    with writing(database) as writer:
        for offset, uids in plan:
            batch = [version(uid, offset) for uid in uids]
            eventually(partial(try_to_store, writer, batch), within=30)


def try_to_store(writer: PostgresOrderStore, batch: Sequence[VersionedOrder]) -> bool:
    try:
        writer.store(batch)
    except StorageUnavailable:
        return False
    return True


@pytest.mark.parametrize("partitions", [0, 2])
def test_of_two_writers_of_a_new_order_the_second_fails_and_succeeds_on_retry(
    database: str, writer: PostgresOrderStore, admin: psycopg.Connection, partitions: int
) -> None:
    partition(admin, partitions)
    with psycopg.connect(database) as other:
        insert_uncommitted_order(writer, admin, other, "a")
        outcome: list[Any] = []
        thread = Thread(target=lambda: outcome.append(result_of(lambda: writer.store([versioned(5, order_uid="a")]))))
        thread.start()
        eventually(lambda: column(admin, WAITING_FOR_LOCK))
        other.commit()
        thread.join(timeout=10)
    (failure,) = outcome
    assert isinstance(failure, ConcurrentChange)
    assert (failure.sqlstate, failure.problem) == ("23505", "another writer inserted the same key first")
    assert writer.store([versioned(5, order_uid="a")]) == Stored(replaced=1)


def test_partitioned_tables_are_supported_and_rejected_orders_identified(
    writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    partition(admin, 3)
    admin.execute("ALTER TABLE items ADD CHECK (brand <> 'poison')")
    orders = [versioned(number, order_uid=f"uid-{number}") for number in range(20)]
    poison = versioned(20, order_uid="uid-20", items=[ITEM, ITEM | {"brand": "poison"}])
    assert rejection(writer, [*orders[:7], poison, *orders[7:]]).index == 7
    assert writer.store(orders) == Stored(new=20)
    changed = [versioned(30 + number, order_uid=f"uid-{number}", locale="de") for number in range(10)]
    assert writer.store([*changed, *orders[10:]]) == Stored(replaced=10, unchanged=10)
    assert stored(admin, "uid-3").locale == "de"


def insert_uncommitted_order(
    writer: PostgresOrderStore, admin: psycopg.Connection, other: psycopg.Connection, uid: str
) -> None:
    """Insert an order in the open transaction of `other`, which other connections cannot see."""
    writer.store([versioned(1, order_uid="template")])
    names = [name for (name,) in admin.execute(
        "SELECT column_name FROM information_schema.columns"
        " WHERE table_schema = current_schema() AND table_name = 'orders'"
        " AND column_name NOT IN ('id', 'order_uid', 'shard')"
    )]  # fmt: skip
    columns = ", ".join(names)
    statement = (
        f"INSERT INTO orders (id, order_uid, shard, {columns})"  # noqa: S608
        f" SELECT nextval('orders_id_seq'), %s, %s, {columns} FROM orders WHERE order_uid = 'template'"
    )
    other.execute(statement.encode(), [uid, shard_of(uid)])


def result_of(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except StorageError as error:
        return error


@pytest.mark.parametrize(
    ("change", "on_retry"),
    [
        ("DELETE FROM orders", Stored(new=1)),
        ("UPDATE orders SET source_offset = 9, entry = 'newer'", Stored(stale=1)),
        ("UPDATE orders SET source_offset = 2, entry = 'newer'", Stored(replaced=1)),
    ],
)
def test_an_order_that_another_writer_changes_during_its_update_is_compared_again_on_retry(
    database: str, writer: PostgresOrderStore, admin: psycopg.Connection, change: LiteralString, on_retry: Stored
) -> None:
    writer.store([versioned(1, order_uid="a")])
    outcome: list[Any] = []
    with psycopg.connect(database) as other:
        other.execute(change)
        replacement = versioned(3, order_uid="a", entry="other")
        thread = Thread(target=lambda: outcome.append(result_of(lambda: writer.store([replacement]))))
        thread.start()
        eventually(lambda: column(admin, WAITING_FOR_LOCK))
        other.commit()
        thread.join(timeout=10)
    assert isinstance(outcome[0], ConcurrentChange)
    assert writer.store([replacement]) == on_retry


# Plans


def test_a_batch_looks_up_its_uids_while_the_tables_were_never_analyzed(
    database: str, writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    for table in ("orders", "deliveries", "payments", "items"):
        admin.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)".encode())
    uids = [f"uid-{number}" for number in range(8_000)]
    for start in range(0, len(uids), 2_000):
        writer.store([versioned(1, order_uid=uid) for uid in uids[start : start + 2_000]])
    batch = ",".join(uids[::4])
    with closing(Transactions(connection_settings(database, "tests"))) as reading, reading.begin() as connection:
        plan = str(connection.execute(f"EXPLAIN {VERSIONS_AND_ERASED}", {"uids": batch}).fetchall())
    assert "orders_order_uid_shard_key" in plan
    assert "orders_pkey" not in plan


# A sequence that hands out ids again, after a restore or a failover


def uids_of_shard(shard: int, count: int) -> list[str]:
    return list(itertools.islice((uid for uid in map(str, itertools.count()) if shard_of(uid) == shard), count))


def reset_sequence(admin: psycopg.Connection) -> None:
    admin.execute("ALTER SEQUENCE orders_id_seq RESTART")


def test_a_writer_takes_other_ids_after_one_that_is_in_use(
    database: str, writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    *stored, new = uids_of_shard(7, 4)
    writer.store([versioned(1, order_uid=uid) for uid in stored])
    reset_sequence(admin)
    with writing(database) as other:
        assert failure(other, versioned(1, order_uid=new)).sqlstate == "23505"
        assert other.store([versioned(1, order_uid=new)]) == Stored(new=1)


def test_orders_with_the_same_id_in_different_shards_keep_their_rows(
    database: str, writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    [first] = uids_of_shard(1, 1)
    second, third = uids_of_shard(2, 2)
    for uid in (first, third):
        writer.store([versioned(1, order_uid=uid)])
    reset_sequence(admin)
    with writing(database) as other:
        other.store([versioned(1, order_uid=second)])
    ids: dict[str, int] = dict(admin.execute("SELECT order_uid, id FROM orders").fetchall())
    assert ids[first] == ids[second] != ids[third]
    replacements = [versioned(2, order_uid=uid, entry="other") for uid in (first, third)]
    assert writer.store(replacements) == Stored(replaced=2)
    assert [stored(admin, uid).entry for uid in (first, second, third)] == ["other", "WBIL", "other"]


# Rejected orders

POISONS: dict[str, tuple[str, dict[str, Any]]] = {
    "orders": ("customer_id", {"customer_id": "poison"}),
    "deliveries": ("city", {"delivery": {"city": "poison"}}),
    "payments": ("bank", {"payment": {"bank": "poison"}}),
    "items": ("brand", {"items": [ITEM, ITEM, ITEM | {"brand": "poison"}, ITEM]}),
}


def add_check(admin: psycopg.Connection, table: str, name: str) -> None:
    admin.execute(f"ALTER TABLE {table} ADD CONSTRAINT no_poison CHECK ({name} <> 'poison')".encode())


@pytest.mark.parametrize(("table", "name", "overrides"), [(table, *poison) for table, poison in POISONS.items()])
def test_a_rejected_new_order_is_identified(
    writer: PostgresOrderStore, admin: psycopg.Connection, table: str, name: str, overrides: dict[str, Any]
) -> None:
    add_check(admin, table, name)
    uids = [f"{(number * 37) % 100:02}" for number in range(100)]
    orders = [versioned(at, order_uid=uid, items=[ITEM] * (1 + at % 4)) for at, uid in enumerate(uids)]
    orders[63] = versioned(63, order_uid=uids[63], **{"items": [ITEM] * 4, **overrides})
    error = rejection(writer, orders)
    assert (error.index, error.sqlstate, error.where) == (63, "23514", f"{table} no_poison")
    assert column(admin, "SELECT count(*) FROM orders") == 0


@pytest.mark.parametrize("table", ["deliveries", "payments", "items"])
def test_a_rejected_replacement_is_identified(
    writer: PostgresOrderStore, admin: psycopg.Connection, table: str
) -> None:
    name, overrides = POISONS[table]
    writer.store([versioned(1, order_uid=f"{number}") for number in range(10)])
    add_check(admin, table, name)
    orders = [versioned(2, order_uid=f"{9 - number}", entry="other") for number in range(10)]
    orders[7] = versioned(2, order_uid="2", **overrides)
    assert rejection(writer, [*orders, versioned(3, order_uid="new")]).index == 7
    assert writer.store(orders[:7]) == Stored(replaced=7)


def test_a_value_too_long_for_its_column_is_identified_with_the_column(
    writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    admin.execute("ALTER TABLE items ALTER COLUMN brand TYPE varchar(20)")
    long = versioned(1, order_uid="b", items=[ITEM, ITEM | {"brand": "x" * 21}])
    error = rejection(writer, [versioned(1, order_uid="c"), long, versioned(1, order_uid="a")])
    assert (error.index, error.sqlstate, error.where) == (1, "22001", "items.brand")


def test_an_exception_in_a_trigger_rejects_the_order(writer: PostgresOrderStore, admin: psycopg.Connection) -> None:
    admin.execute(
        "CREATE FUNCTION reject() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.city = 'poison' THEN RAISE 'no % here', NEW.name; END IF; RETURN NEW; END $$"
    )
    admin.execute("CREATE TRIGGER reject BEFORE INSERT ON deliveries FOR EACH ROW EXECUTE FUNCTION reject()")
    orders = [versioned(1, order_uid="a"), versioned(1, order_uid="b", delivery={"city": "poison", "name": "Testov"})]
    error = rejection(writer, orders)
    assert (error.index, error.sqlstate) == (1, "P0001")
    assert "Testov" not in f"{error} {error.where} {error.problem}"


@pytest.mark.parametrize("table", POISONS)
def test_the_error_for_a_rejected_order_contains_no_value(
    writer: PostgresOrderStore, admin: psycopg.Connection, table: str
) -> None:
    name, overrides = POISONS[table]
    add_check(admin, table, name)
    error = rejection(writer, [versioned(1, **overrides)])
    assert isinstance(error.__cause__, psycopg.Error)
    assert "Failing row contains" in str(error.__cause__), "the driver's message no longer contains the row"
    for shown in (str(error), repr(error), error.where, error.problem):
        assert not any(value in shown for value in ("Testov", "test@gmail.com", "wbpay", "Mascaras"))


def test_the_next_batch_after_a_rejection_is_stored(writer: PostgresOrderStore, admin: psycopg.Connection) -> None:
    add_check(admin, *("orders", "customer_id"))
    rejection(writer, [versioned(1, customer_id="poison")])
    assert writer.store([versioned(1)]) == Stored(new=1)


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
    assert received() == [Notification(new=["changed", "moved", "same", "stale"])]
    writer.store(
        [
            versioned(5, order_uid="same"),
            versioned(6, order_uid="moved"),
            versioned(4, order_uid="stale", entry="other"),
            versioned(6, order_uid="changed", entry="other"),
            versioned(6, order_uid="new"),
        ]
    )
    assert received() == [Notification(new=["new"]), Notification(changed=["changed"])]
    writer.store([versioned(7, order_uid="moved"), versioned(4, order_uid="stale", entry="other")])
    assert received() == []


def test_a_full_batch_is_notified_in_a_few_payloads(
    writer: PostgresOrderStore, received: Callable[[], list[Notification]]
) -> None:
    uids = [f"{number:064}" for number in range(1_000)]
    writer.store([versioned(1, order_uid=uid) for uid in uids])
    notifications = received()
    assert [uid for each in notifications for uid in each.new] == uids
    assert len(notifications) == 9


def test_a_rejected_batch_is_not_notified(
    writer: PostgresOrderStore, admin: psycopg.Connection, received: Callable[[], list[Notification]]
) -> None:
    add_check(admin, "items", "brand")
    rejection(writer, [versioned(1), versioned(1, **POISONS["items"][1])])
    assert received() == []


# Locks, timeouts and unresponsive servers


def failure(writer: PostgresOrderStore, *orders: VersionedOrder) -> StorageError:
    with pytest.raises(StorageError) as caught:
        writer.store(orders)
    return caught.value


def test_waiting_for_a_lock_ends_at_the_lock_timeout(database: str) -> None:
    with writing(database, lock_timeout=0.2) as writer, psycopg.connect(database) as other:
        writer.store([versioned(1, order_uid="a")])
        other.execute("SELECT * FROM orders FOR UPDATE")
        began = monotonic()
        assert failure(writer, versioned(2, order_uid="a", entry="other")).sqlstate == "55P03"
        assert monotonic() - began < 2
        other.rollback()
        assert writer.store([versioned(2, order_uid="a", entry="other")]) == Stored(replaced=1)


def test_a_slow_statement_ends_at_the_statement_timeout(database: str) -> None:
    with writing(database, statement_timeout=0.2, lock_timeout=10) as writer, psycopg.connect(database) as other:
        other.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        timed_out = failure(writer, versioned(1))
        assert isinstance(timed_out, StatementTimedOut)
        assert timed_out.sqlstate == "57014"
        other.rollback()
        assert writer.store([versioned(1)]) == Stored(new=1)


def test_timeouts_apply_to_the_transaction_only(database: str) -> None:
    transactions = Transactions(connection_settings(database, "tests", statement_timeout=7, lock_timeout=3))
    with transactions.begin() as connection:
        assert connection.execute("SHOW statement_timeout").fetchone() == ("7s",)
        assert connection.execute("SHOW lock_timeout").fetchone() == ("3s",)
    assert connection.execute("SHOW statement_timeout").fetchone() == ("0",)
    transactions.close()


def test_a_terminated_connection_is_replaced(writer: PostgresOrderStore, admin: psycopg.Connection) -> None:
    writer.store([versioned(1)])
    admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tests'")
    assert failure(writer, versioned(2)).sqlstate in {"57P01", ""}
    assert writer.store([versioned(2)]) == Stored(new=1)


def test_an_unreachable_server_is_a_temporary_error() -> None:
    with writing("postgresql://127.0.0.1:1/orders", connect_timeout=1) as writer:
        failed = "the connection to PostgreSQL failed: connection refused"
        assert str(failure(writer, versioned(1))) == failed


def test_a_missing_table_is_a_temporary_error(writer: PostgresOrderStore, admin: psycopg.Connection) -> None:
    admin.execute("ALTER TABLE items RENAME TO later")
    assert failure(writer, versioned(1)).sqlstate == "42P01"
    admin.execute("ALTER TABLE later RENAME TO items")
    assert writer.store([versioned(1)]) == Stored(new=1)


def test_a_read_only_server_is_a_temporary_error(database: str) -> None:
    with writing(f"{database}?options=-cdefault_transaction_read_only%3Don") as writer:
        assert failure(writer, versioned(1)).sqlstate == "25006"


def test_a_type_changed_under_a_prepared_statement_is_a_temporary_error(
    writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    for offset in range(8):
        writer.store([versioned(offset, order_uid="a", entry=str(offset))])
    admin.execute("ALTER TABLE orders ALTER COLUMN source_topic TYPE text")
    eventually(lambda: try_to_store(writer, [versioned(9, order_uid="a", entry="9")]))


def test_orders_are_stored_without_prepared_statements(database: str, admin: psycopg.Connection) -> None:
    with writing(database, prepared_statements=False) as writer:
        for offset in range(8):
            writer.store([versioned(offset, order_uid="a", entry=str(offset))])
        transaction = writer._transactions.begin()
        with transaction as connection:
            assert connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)
    assert stored(admin, "a").entry == "7"


def test_a_frozen_server_times_out(own_postgres: "Postgres") -> None:
    with writing(own_postgres.dsn, statement_timeout=1, connect_timeout=1) as writer:
        writer.store([versioned(1)])
        own_postgres.freeze()
        began = monotonic()
        assert failure(writer, versioned(2)).sqlstate == ""
        assert monotonic() - began < 1 + GRACE_SECONDS + 2
        began = monotonic()
        assert failure(writer, versioned(2)).sqlstate == ""
        assert monotonic() - began < 3
        own_postgres.thaw()
        assert writer.store([versioned(2)]) == Stored(new=1)


def test_a_server_that_freezes_during_a_copy_times_out(own_postgres: "Postgres") -> None:
    with (
        psycopg.connect(own_postgres.dsn) as other,
        psycopg.connect(own_postgres.dsn, autocommit=True) as watcher,
        writing(own_postgres.dsn, statement_timeout=1) as writer,
    ):
        other.execute("LOCK TABLE deliveries IN ACCESS EXCLUSIVE MODE")
        outcome: list[Any] = []
        thread = Thread(target=lambda: outcome.append(result_of(lambda: writer.store([versioned(1)]))))
        began = monotonic()
        thread.start()
        eventually(lambda: column(watcher, WAITING_FOR_LOCK))
        own_postgres.freeze()
        thread.join(timeout=60)
        took = monotonic() - began
        own_postgres.thaw()
        other.rollback()
        assert isinstance(outcome[0], StorageUnavailable)
        assert took < 1 + GRACE_SECONDS + 3
        eventually(lambda: try_to_store(writer, [versioned(1)]))


def test_writer_recovers_after_postgresql_restarts(own_postgres: "Postgres") -> None:
    with writing(own_postgres.dsn) as writer:
        writer.store([versioned(1, order_uid="a")])
        own_postgres.kill()
        assert not try_to_store(writer, [versioned(2)])
        own_postgres.start()
        eventually(lambda: try_to_store(writer, [versioned(2)]))
        assert writer.store([versioned(1, order_uid="a")]) == Stored(unchanged=1)
