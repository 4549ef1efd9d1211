"""The reader while PostgreSQL is unreachable, frozen or slow."""

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from service.errors import StorageUnavailable
from service.repo.reader import order_reader
from service.repo.reader.pool import ReadPool
from service.repo.reader.statements import ESTIMATE
from service.usecases.ports.reads import OrderReader
from tests.kit.factories import connection_settings, order
from tests.kit.readers import RealReads, document

if TYPE_CHECKING:
    from local.postgres import Postgres


@pytest.fixture
def real(database: str) -> RealReads:
    return RealReads(database)


def test_reader_fails_soon_without_postgresql_and_recovers_after_its_restart(own_postgres: "Postgres") -> None:
    store = RealReads(own_postgres.dsn)
    store.store(order(order_uid="uid"))

    async def read(reader: OrderReader) -> bool:
        before = [await document(reader, "uid") for _ in range(3)]
        await asyncio.to_thread(own_postgres.stop)
        began = monotonic()
        for _ in range(2):
            with pytest.raises(StorageUnavailable):
                await document(reader, "uid")
        assert monotonic() - began < 10
        await asyncio.to_thread(own_postgres.start)
        return [await document(reader, "uid") for _ in range(3)] == before

    assert store.read(read)


def test_terminated_idle_connections_are_replaced_without_an_error(real: RealReads, database: str) -> None:
    real.store(order(order_uid="uid"))

    async def read(reader: OrderReader) -> bytes | None:
        await asyncio.gather(*(document(reader, "uid") for _ in range(50)))  # fills the pool
        with psycopg.connect(database, autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tests'")
        return await document(reader, "uid")

    assert real.read(read)


def test_idle_connections_outlast_the_operators_limit(database: str) -> None:
    async def read() -> Any:
        limited = f"{database}?options=-cidle_session_timeout%3D10s"
        pool = ReadPool(connection_settings(limited, "tests", connect_timeout=2, statement_timeout=2), 1)
        await pool.open()
        try:
            return await pool.fetch("SELECT current_setting('idle_session_timeout')", [])
        finally:
            await pool.close()

    assert asyncio.run(read()) == [(b"0",)]


def test_the_pool_recovers_as_soon_as_the_server_is_reachable(own_postgres: "Postgres") -> None:
    """The pool's own exponential backoff would delay the recovery."""
    store = RealReads(own_postgres.dsn)
    store.store(order(order_uid="uid"))
    own_postgres.stop()

    async def read(reader: OrderReader) -> float:
        for _ in range(6):
            with pytest.raises(StorageUnavailable):
                await document(reader, "uid")
        await asyncio.to_thread(own_postgres.start)
        began = monotonic()
        assert await document(reader, "uid")
        return monotonic() - began

    assert store.read(read) < 1


def test_reads_from_a_frozen_server_time_out(own_postgres: "Postgres") -> None:
    store = RealReads(own_postgres.dsn)
    store.store(order(order_uid="uid"))

    async def read(reader: OrderReader) -> float:
        await document(reader, "uid")
        await asyncio.to_thread(own_postgres.freeze)
        began = monotonic()
        try:
            with pytest.raises(StorageUnavailable):
                await document(reader, "uid")
            took = monotonic() - began
        finally:
            await asyncio.to_thread(own_postgres.thaw)
        assert await _retried(reader)
        return took

    assert store.read(read) < 2 + 5 + 1  # statement timeout, time to cancel, margin for a slow machine


async def _retried(reader: OrderReader) -> bytes | None:
    async with asyncio.timeout(30):
        while True:
            try:
                return await document(reader, "uid")
            except StorageUnavailable:
                continue


def test_a_read_that_the_server_cancels_makes_the_database_unavailable(
    real: RealReads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_reader, "ESTIMATE", "SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(60)")

    async def read(reader: OrderReader) -> str:
        with pytest.raises(StorageUnavailable) as failure:
            await reader.estimate()
        return failure.value.sqlstate

    assert real.read(read) == "57014"


def test_a_statement_that_times_out_is_canceled_on_the_server(
    real: RealReads, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_reader, "ESTIMATE", "SELECT pg_sleep(60)")
    assert ESTIMATE != "SELECT pg_sleep(60)"

    async def read(reader: OrderReader) -> list[Any]:
        began = monotonic()
        with pytest.raises(StorageUnavailable, match="timed out"):
            await reader.estimate()
        assert 2 <= monotonic() - began < 7
        with psycopg.connect(database, autocommit=True) as admin:
            return admin.execute(
                "SELECT pid FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)' AND state = 'active'"
            ).fetchall()

    assert real.read(read) == []
