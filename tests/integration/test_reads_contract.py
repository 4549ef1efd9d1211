"""The contract of PostgreSQL with the API, on a real server and on the one of the simulation."""

import asyncio
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Final, Protocol

import psycopg
import pytest

from service.repo.connection import BACKEND_PID, BoundedAsyncConnection, is_pooled
from service.repo.listener.listener import CURRENT_LSN, HEARTBEAT
from service.repo.reader.order_reader import PostgresOrderReader
from service.repo.reader.pool import ReadPool
from service.repo.writer.order_store import PostgresOrderStore
from service.usecases.ports.reads import ReadResult
from tests.kit.factories import connection_settings, versioned
from tests.kit.pooler import pgbouncer
from tests.simulation.api.plan import Layout
from tests.simulation.api.standalone import simulated_postgres

CHANNEL: Final = "a_channel"
NOTIFY: Final = HEARTBEAT.format(lsn=CURRENT_LSN).encode()
SECONDS: Final = 2.0
"""How long to wait for notifications that arrive."""
LOST_SECONDS: Final = 0.5
"""How long to wait for notifications that do not."""


class Server(Protocol):
    dsn: str
    direct_dsn: str

    def run(self, steps: Coroutine[None, None, None]) -> None: ...

    async def commit(self, uid: str) -> None: ...

    async def terminate(self) -> None: ...


class RealPostgres:
    def __init__(self, dsn: str, direct_dsn: str, writer: PostgresOrderStore) -> None:
        self.dsn = dsn
        self.direct_dsn = direct_dsn
        self._writer = writer

    def run(self, steps: Coroutine[None, None, None]) -> None:
        asyncio.run(steps)

    async def commit(self, uid: str) -> None:
        await asyncio.to_thread(self._writer.store, [versioned(1, order_uid=uid)])

    async def terminate(self) -> None:
        async with await connect(self.direct_dsn) as admin:
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND datname = current_database() AND application_name = 'contract'"
            )


@pytest.fixture(params=["simulated", "postgresql"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    if request.param == "simulated":
        with simulated_postgres(Layout.DIRECT) as simulated:
            yield simulated
    else:
        dsn = request.getfixturevalue("database")
        yield RealPostgres(dsn, dsn, request.getfixturevalue("writer"))


@pytest.fixture(params=["simulated", "pgbouncer"])
def pooled(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    if request.param == "simulated":
        with simulated_postgres(Layout.POOLER_AND_DIRECT) as simulated:
            yield simulated
    else:
        dsn = request.getfixturevalue("database")
        with pgbouncer(dsn, tmp_path / "pgbouncer.txt") as through:
            yield RealPostgres(through, dsn, request.getfixturevalue("writer"))


async def connect(dsn: str) -> BoundedAsyncConnection:
    connection = await BoundedAsyncConnection.connect(
        dsn, autocommit=True, prepare_threshold=None, application_name="contract"
    )
    connection.call_timeout = 10
    return connection


async def notify(connection: BoundedAsyncConnection, payload: str) -> int:
    """Return the LSN."""
    row = await (await connection.execute(NOTIFY, [CHANNEL, payload])).fetchone()
    assert row is not None
    return int(row[1])


async def received(connection: BoundedAsyncConnection, count: int, seconds: float = SECONDS) -> list[str]:
    found: list[str] = []
    async for each in connection.notifies(timeout=seconds, stop_after=count):
        found.append(each.payload)  # noqa: PERF401 - of an asynchronous generator that must not be left early
    return found


def test_notifications_arrive_after_their_commit_in_the_order_of_commits(server: Server) -> None:
    async def steps() -> None:
        async with (
            await connect(server.dsn) as listening,
            await connect(server.dsn) as slow,
            await connect(server.dsn) as fast,
        ):
            await listening.execute(f"LISTEN {CHANNEL}")
            await slow.execute("BEGIN")
            await notify(slow, "notified first, committed last")
            await notify(fast, "1")
            await notify(fast, "2")
            assert await received(listening, 2) == ["1", "2"]
            await slow.execute("COMMIT")
            assert await received(listening, 1) == ["notified first, committed last"]

    server.run(steps())


def test_notifications_of_a_transaction_that_is_rolled_back_never_arrive(server: Server) -> None:
    async def steps() -> None:
        async with await connect(server.dsn) as listening, await connect(server.dsn) as notifying:
            await listening.execute(f"LISTEN {CHANNEL}")
            await notifying.execute("BEGIN")
            await notify(notifying, "rolled back")
            await notifying.execute("ROLLBACK")
            await notify(notifying, "committed")
            assert await received(listening, 1) == ["committed"]

    server.run(steps())


def test_a_session_receives_its_own_notifications(server: Server) -> None:
    async def steps() -> None:
        async with await connect(server.dsn) as connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            await notify(connection, "own")
            assert await received(connection, 1) == ["own"]

    server.run(steps())


def test_the_lsn_increases_with_each_commit(server: Server) -> None:
    async def steps() -> None:
        async with await connect(server.dsn) as connection:
            lsns = [await notify(connection, "")]
            for uid in ("a", "b"):
                await server.commit(uid)
                lsns.append(await notify(connection, ""))
            assert lsns == sorted({*lsns})

    server.run(steps())


def test_a_call_that_exceeds_its_deadline_raises_and_its_connection_can_be_abandoned(server: Server) -> None:
    async def steps() -> None:
        connection = await connect(server.dsn)
        connection.call_timeout = 0.2
        with pytest.raises(psycopg.OperationalError) as raised:
            await connection.execute("SELECT pg_sleep(60)")
        assert type(raised.value).__name__ == "_WaitTimeout"
        assert connection.has_timed_out
        await connection.abandon()
        assert connection.closed

    server.run(steps())


def test_a_terminated_connection_raises_admin_shutdown(server: Server) -> None:
    async def steps() -> None:
        connection = await connect(server.dsn)
        await server.terminate()
        with pytest.raises(psycopg.errors.AdminShutdown):
            await connection.execute("SELECT pg_sleep(1)")
        assert connection.closed

    server.run(steps())


def test_stored_and_absent_orders_are_read(server: Server) -> None:
    async def steps() -> None:
        settings = connection_settings(server.dsn, "contract")
        pool = ReadPool(settings, 2)
        await pool.open()
        await server.commit("stored")
        found = await PostgresOrderReader(pool).documents(["stored", "absent"])
        assert found["stored"].document
        assert found["stored"].replay_lsn is None
        assert found["absent"] == ReadResult(None, None)
        await pool.close()

    server.run(steps())


def test_through_a_pooler_a_connection_receives_its_own_notifications_and_no_others(pooled: Server) -> None:
    async def steps() -> None:
        async with await connect(pooled.dsn) as through, await connect(pooled.direct_dsn) as direct:
            pids = [await (await each.execute(BACKEND_PID)).fetchone() for each in (through, direct)]
            assert [is_pooled(each, row[0]) for each, row in zip((through, direct), pids, strict=True) if row] == [
                True,
                False,
            ]
            await through.execute(f"LISTEN {CHANNEL}")
            await notify(direct, "of another session")
            assert await received(through, 1, LOST_SECONDS) == []
            await notify(through, "own")
            assert "own" in await received(through, 1)

    pooled.run(steps())
