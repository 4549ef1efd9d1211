"""Reads of many orders in one query, on PostgreSQL and on FakeReader, and behavior that only PostgreSQL shows."""

import asyncio
from collections.abc import Mapping

import psycopg
import pytest

from service.errors import OrdersTooLarge, StorageUnavailable
from service.repo.reader import documents
from service.usecases.ports.reads import OrderReader, ReadResult
from tests.kit.factories import order
from tests.kit.readers import MemoryReads, RealReads, Store, document

UIDS = [f"o{number}" for number in range(200)]


@pytest.fixture
def real(database: str) -> RealReads:
    return RealReads(database)


@pytest.fixture(params=["real", "fake"])
def store(request: pytest.FixtureRequest) -> Store:
    made: Store = MemoryReads() if request.param == "fake" else request.getfixturevalue("real")
    made.store(*(order(order_uid=uid) for uid in UIDS))
    return made


def test_many_documents_are_those_of_single_reads(store: Store) -> None:
    async def read(reader: OrderReader) -> tuple[Mapping[str, ReadResult], Mapping[str, ReadResult]]:
        single = {uid: (await reader.documents([uid]))[uid] for uid in (*UIDS[:20], "unknown")}
        return await reader.documents_within([*UIDS, "unknown"], 2**24), single

    many, single = store.read(read)
    assert many.keys() == {*UIDS, "unknown"}
    assert many["unknown"] == ReadResult(None)
    assert {uid: many[uid] for uid in single} == single


def test_documents_up_to_the_limit_are_read(store: Store) -> None:
    async def read(reader: OrderReader) -> None:
        many = await reader.documents_within(UIDS, 2**24)
        size = sum(len(each.document or b"") for each in many.values())
        assert await reader.documents_within(UIDS, size) == many
        with pytest.raises(OrdersTooLarge):
            await reader.documents_within(UIDS, size - 1)

    store.read(read)


def test_a_query_that_is_ended_early_leaves_its_connection_usable(real: RealReads, database: str) -> None:
    real.store(*(order(order_uid=uid) for uid in UIDS))

    async def read(reader: OrderReader) -> None:
        for _ in range(10):  # more often than the pool has connections
            with pytest.raises(OrdersTooLarge):
                await reader.documents_within(UIDS, 1)
        with psycopg.connect(database) as admin:
            query = "SELECT DISTINCT state FROM pg_stat_activity WHERE application_name = 'tests'"
            assert admin.execute(query).fetchall() == [("idle",)]
        assert await document(reader, "o1")

    real.read(read)


def test_a_query_ends_at_the_limit_without_waiting_for_further_rows(
    real: RealReads, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = (
        "SELECT n::text, repeat('x', 10000) || CASE WHEN n > 32 THEN pg_sleep(60)::text ELSE '' END "
        "FROM generate_series(1, 200) n"
    )
    monkeypatch.setattr(documents, "DOCUMENTS_OF", rows)
    with pytest.raises(OrdersTooLarge):
        real.read(lambda reader: reader.documents_within(["o1"], 100_000))


def test_a_slow_query_of_many_orders_times_out_as_a_whole(real: RealReads, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row arrives in time, but not all of them."""
    rows = "SELECT n::text, repeat('x', 10000) || pg_sleep(0.1)::text FROM generate_series(1, 200) n"
    monkeypatch.setattr(documents, "DOCUMENTS_OF", rows)
    real.store(order(order_uid="o1"))

    async def read(reader: OrderReader) -> None:
        async with asyncio.timeout(10):
            with pytest.raises(StorageUnavailable, match="the query timed out"):
                await reader.documents_within(["o1"], 2**24)
        monkeypatch.undo()
        assert await document(reader, "o1")

    real.read(read)


def test_many_orders_are_read_after_their_connections_were_terminated(real: RealReads, database: str) -> None:
    real.store(*(order(order_uid=uid) for uid in UIDS))

    async def read(reader: OrderReader) -> Mapping[str, ReadResult]:
        await document(reader, "o1")
        with psycopg.connect(database, autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tests'")
        return await reader.documents_within(UIDS, 2**24)

    assert all(each.document for each in real.read(read).values())
