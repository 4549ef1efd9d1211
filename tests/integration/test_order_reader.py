"""The contract of OrderReader, on PostgreSQL and on FakeReader, and behavior that only PostgreSQL shows."""

import re
from collections.abc import KeysView, Sequence
from datetime import datetime, timedelta, timezone

import msgspec
import psycopg
import pytest

from service.entities.order import Order
from service.pkg.etag import with_etag
from service.usecases.ports.reads import OrderCount, OrderReader, Page, PageCursor, PageQuery
from tests.kit.factories import order
from tests.kit.partitions import disable_autovacuum, partition
from tests.kit.readers import MemoryReads, RealReads, Store, document
from tests.kit.waiting import eventually

AWKWARD = 'tab\t, quote ", backslash \\ and \\n, line\nbreak, {brace}, %s, é, 漢字, 🦊, \u2028, \x7f'


@pytest.fixture
def real(database: str) -> RealReads:
    return RealReads(database)


@pytest.fixture(params=["real", "partitioned", "fake"])
def store(request: pytest.FixtureRequest) -> Store:
    if request.param == "fake":
        return MemoryReads()
    real: RealReads = request.getfixturevalue("real")
    if request.param == "partitioned":
        with psycopg.connect(request.getfixturevalue("database"), autocommit=True) as admin:
            partition(admin, 4)
    return real


async def newest(reader: OrderReader, number: int) -> list[tuple[str, bytes]]:
    async with reader.newest(number) as snapshot:
        return [(uid, document or b"") async for uid, document in snapshot.orders]


async def pages(reader: OrderReader, query: PageQuery) -> list[Page]:
    found = [await reader.page(query)]
    while found[-1].next:
        found.append(await reader.page(query._replace(after=found[-1].next)))
    return found


def uids(found: Sequence[Page]) -> list[str]:
    return [msgspec.json.decode(summary)["order_uid"] for page in found for summary in page.summaries]


def awkward_orders() -> list[Order]:
    """Return orders with absent, empty, large and escaped values, fractional seconds and early dates."""
    items = [order().items[0], msgspec.structs.replace(order().items[0], name=AWKWARD, nm_id=2**63 - 1, sale=0)]
    return [
        order(order_uid="sample"),
        order(order_uid="escaped", locale=AWKWARD, delivery={"name": AWKWARD, "address": "\\"}),
        order(order_uid="amounts", payment={"amount": 2**63 - 1, "goods_total": 0}),
        order(order_uid="items", items=msgspec.to_builtins(items * 20)),
        order(order_uid="fraction", date_created="2024-02-29T23:59:59.120Z"),
        order(order_uid="micros", date_created="1969-12-31T23:59:59.000001Z"),
        order(order_uid="early", date_created="0001-01-01T00:00:00Z"),
        msgspec.structs.replace(order(order_uid="unsigned"), internal_signature=None),
        msgspec.structs.replace(
            order(order_uid="bare"),
            internal_signature=None,
            payment=msgspec.structs.replace(order().payment, request_id=None),
        ),
    ]


def test_a_document_is_the_compact_json_of_the_order(store: Store) -> None:
    orders = awkward_orders()
    store.store(*orders)

    async def read(reader: OrderReader) -> list[bytes | None]:
        return [await document(reader, each.order_uid) for each in orders]

    documents = store.read(read)
    assert [_decoded(document) for document in documents] == orders
    assert [_fields(document) for document in documents] == [msgspec.to_builtins(each).keys() for each in orders]
    sample = store.read(lambda reader: document(reader, "sample"))
    assert sample == msgspec.json.encode(orders[0])


def test_summaries_are_those_of_the_list(store: Store) -> None:
    store.store(*awkward_orders())

    async def read(reader: OrderReader) -> tuple[Page, dict[str, bytes | None]]:
        listed = await reader.page(PageQuery(100))
        summaries = await reader.summaries([*uids([listed]), "unknown"])
        return listed, {uid: result.document for uid, result in summaries.items()}

    listed, summaries = store.read(read)
    assert summaries.pop("unknown") is None
    assert [*summaries.values()] == listed.summaries


def _decoded(document: bytes | None) -> Order:
    assert document is not None
    return msgspec.json.decode(document, type=Order)


def _fields(document: bytes | None) -> KeysView[str]:
    """Return the fields of a document, including those that are null, which `_decoded` reads as absent."""
    assert document is not None
    fields: dict[str, object] = msgspec.json.decode(document)
    return fields.keys()


def test_an_unknown_id_has_no_document(store: Store) -> None:
    store.store(order(order_uid="Known"))
    assert store.read(lambda reader: document(reader, "known")) is None


@pytest.mark.parametrize(
    ("sent", "served"),
    [
        ("2021-11-26T06:22:19Z", "2021-11-26T06:22:19Z"),
        ("2021-11-26T06:22:19.000Z", "2021-11-26T06:22:19Z"),
        ("2021-11-26T06:22:10.500Z", "2021-11-26T06:22:10.5Z"),
        ("2021-11-26T06:22:19.000001Z", "2021-11-26T06:22:19.000001Z"),
        ("2021-11-26T00:22:00+03:00", "2021-11-25T21:22:00Z"),
    ],
)
def test_times_are_served_in_utc_without_zero_fractions(real: RealReads, sent: str, served: str) -> None:
    real.store(order(order_uid="uid", date_created=sent))
    queried = real.read(lambda reader: document(reader, "uid"))
    summary = real.read(lambda reader: reader.page(PageQuery(1))).summaries[0]
    assert [msgspec.json.decode(each or b"{}")["date_created"] for each in (queried, summary)] == [served] * 2


def test_queried_and_streamed_documents_have_the_same_bytes(store: Store) -> None:
    orders = awkward_orders()
    store.store(*orders)

    async def read(reader: OrderReader) -> tuple[dict[str, bytes], dict[str, bytes | None]]:
        streamed = dict(await newest(reader, 100))
        return streamed, {uid: await document(reader, uid) for uid in streamed}

    streamed, queried = store.read(read)
    assert len(streamed) == len(orders)
    assert streamed == queried
    assert {with_etag(document) for document in streamed.values()} == {
        with_etag(each) for each in queried.values() if each
    }


def test_newest_returns_the_given_number_of_orders_newest_first(store: Store) -> None:
    store.store(*(order(order_uid=f"o{day}", date_created=f"2026-01-{day:02}T00:00:00Z") for day in range(1, 6)))
    assert [uid for uid, _ in store.read(lambda reader: newest(reader, 3))] == ["o5", "o4", "o3"]


def test_newest_may_be_closed_before_its_end(store: Store) -> None:
    store.store(*(order(order_uid=f"o{number}") for number in range(500)))

    async def read(reader: OrderReader) -> bytes | None:
        async with reader.newest(500) as snapshot:
            async for _ in snapshot.orders:
                break
        return await document(reader, "o1")

    assert store.read(read)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_pages_of_any_size_contain_every_order_once_despite_equal_dates(store: Store, limit: int) -> None:
    dates = ["1960-01-01T00:00:00Z", "2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000001Z"]
    store.store(*(order(order_uid=f"o{number}", date_created=dates[number % 4]) for number in range(12)))
    found = store.read(lambda reader: pages(reader, PageQuery(limit)))
    by_age = sorted(range(12), key=lambda number: (number % 4, f"o{number}"))
    assert [len(page.summaries) for page in found[:-1]] == [limit] * (len(found) - 1)
    assert uids(found) == [f"o{number}" for number in reversed(by_age)]


def test_filters_apply_alone_and_together(store: Store) -> None:
    store.store(
        order(order_uid="a", customer_id="ann", track_number="T1"),
        order(order_uid="b", customer_id="ann", track_number="T2"),
        order(order_uid="c", customer_id="bob", track_number="T1"),
    )

    def listed(**filters: str) -> list[str]:
        return uids(store.read(lambda reader: pages(reader, PageQuery(1, **filters))))  # type: ignore[arg-type]

    assert listed() == ["c", "b", "a"]
    assert listed(customer_id="ann") == ["b", "a"]
    assert listed(track_number="T1") == ["c", "a"]
    assert listed(customer_id="ann", track_number="T1") == ["a"]
    assert listed(customer_id="none' OR '1'='1") == []


def test_a_time_range_includes_its_start_and_excludes_its_end(store: Store) -> None:
    store.store(
        *(order(order_uid=f"o{day}", customer_id=f"c{day % 2}", date_created=created(day).isoformat()) for day in DAYS)
    )

    def listed(begin: int | None, end: int | None, **filters: str) -> list[str]:
        begins, ends = (created(day) if day else None for day in (begin, end))
        query = PageQuery(1, created_from=begins, created_to=ends)
        return uids(store.read(lambda reader: pages(reader, query._replace(**filters))))  # type: ignore[arg-type]

    assert listed(None, None) == ["o5", "o4", "o3", "o2", "o1"]
    assert listed(4, None) == ["o5", "o4"]
    assert listed(None, 2) == ["o1"]
    assert listed(2, 5) == ["o4", "o3", "o2"]
    assert listed(2, 5, customer_id="c0") == ["o4", "o2"]
    assert listed(3, 3) == listed(4, 2) == []


DAYS = range(1, 6)
ZONE = timezone(timedelta(hours=3))


def created(day: int) -> datetime:
    return datetime(2026, 1, day, tzinfo=ZONE)


def test_a_time_range_may_begin_and_end_at_the_limits_of_datetime(store: Store) -> None:
    store.store(order(order_uid="uid"))
    first, last = datetime.min.replace(tzinfo=ZONE), datetime.max.replace(tzinfo=timezone(timedelta(hours=-3)))
    query = PageQuery(10, created_from=first, created_to=last)
    assert uids([store.read(lambda reader: reader.page(query))]) == ["uid"]


def test_a_summary_has_these_fields(store: Store) -> None:
    store.store(order(order_uid="uid", date_created="2026-01-01T00:00:00Z"))
    page = store.read(lambda reader: reader.page(PageQuery(10)))
    summary = msgspec.json.decode(page.summaries[0])
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", summary.pop("stored_at"))
    assert summary == {
        "order_uid": "uid",
        "track_number": "WBILMTESTTRACK",
        "date_created": "2026-01-01T00:00:00Z",
        "delivery_service": "meest",
        "amount": 1817,
        "currency": "USD",
        "items": 1,
    }
    assert page.next is None


@pytest.mark.parametrize(("created_us", "expected"), [(10**18 - 1, ["uid"]), (-(10**18) + 1, [])])
def test_a_cursor_outside_the_range_of_timestamps_is_accepted(
    store: Store, created_us: int, expected: list[str]
) -> None:
    store.store(order(order_uid="uid"))
    page = store.read(lambda reader: reader.page(PageQuery(10, PageCursor(created_us, "x"))))
    assert uids([page]) == expected


def test_the_history_of_an_order_begins_with_the_stored_version(store: Store) -> None:
    for entry in ("1", "2"):
        store.store(order(order_uid="uid", entry=entry), order(order_uid="other"))
    history = store.read(lambda reader: reader.history("uid"))
    assert history
    assert history.replacements == 1
    assert [(each.source.offset, each.changed_fields) for each in history.versions] == [(2, ["entry"]), (0, None)]
    assert store.read(lambda reader: reader.history("unknown")) is None


def test_few_orders_are_counted_exactly(store: Store) -> None:
    store.store(*(order(order_uid=f"o{number}") for number in range(7)))
    assert store.read(lambda reader: reader.estimate()) == OrderCount(7, is_estimate=False)


MULTIPLY = """INSERT INTO orders SELECT (jsonb_populate_record(o, jsonb_build_object(
    'id', nextval('orders_id_seq'), 'order_uid', %s || n))).*
FROM orders o, generate_series(1, %s) n WHERE o.order_uid = 'uid'"""


def test_many_orders_are_estimated_from_the_current_size(real: RealReads, database: str) -> None:
    real.store(order(order_uid="uid"))
    with psycopg.connect(database, autocommit=True) as connection:
        # An ANALYZE in the middle of so large an insert would count pages whose rows are not visible yet.
        disable_autovacuum(connection, "orders")
    stored = 1
    for name, more, analyze in (("first-", 12_000, ""), ("second-", 8_000, "ANALYZE orders"), ("third-", 30_000, "")):
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(MULTIPLY, [name, more])
            connection.execute(analyze)
        stored += more

        def is_near(stored: int = stored) -> bool:
            estimate = real.read(lambda reader: reader.estimate())
            return estimate.is_estimate and estimate.orders == pytest.approx(stored, rel=0.1)

        eventually(is_near, what=f"an estimate near {stored:,}")  # statistics are updated shortly after a commit
