"""The listeners on real PostgreSQL servers, through a proxy that closes its connection or makes it half-open."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
import structlog
from structlog.testing import capture_logs

from service.repo.conninfo import Conninfo
from service.repo.listener.callbacks import MergedCallbacks
from service.repo.listener.listeners import Listeners
from service.repo.listener.merged import NO_DATABASE, OTHER_DATABASE, SAME_DATABASE
from service.repo.notifications import payloads
from service.repo.reader.pool import ReadPool
from service.usecases.minimum_lsn import UNKNOWN_LSN
from service.usecases.ports.reads import Notification
from tests.kit import servers, temporary
from tests.kit.factories import connection_settings
from tests.kit.harness import MAX_STALE_SECONDS
from tests.kit.notifications import NOTIFY, full_queue, limit_queue
from tests.kit.pooler import pgbouncer
from tests.kit.proxy import Proxy, proxied
from tests.kit.waiting import until

if TYPE_CHECKING:
    from local.postgres import Postgres

HEARTBEAT = 0.5


class RecordedListener:
    """A running listener, and a record of its callbacks."""

    def __init__(self, dsn: str, admin: str, *more: str, heartbeat: float = HEARTBEAT, reading: str = "") -> None:
        self._admin = admin
        self.calls: list[str] = []
        self.verified_at: list[float] = []
        self.lsns: list[int] = []
        callbacks = MergedCallbacks(
            on_listen=lambda _: self._record("listening"),
            on_lsn=self.lsns.append,
            on_verified=self.verified_at.append,
            on_notify=self._on_notify,
            on_disconnect=self._on_disconnect,
            on_repeated_timeouts=lambda: self._record("repeated timeouts"),
        )
        self.pool = ReadPool(connection_settings(reading or dsn, "tests", connect_timeout=2, statement_timeout=2), 2)
        log = structlog.get_logger()
        servers = [*map(Conninfo, [dsn, *more])]
        self.listener = Listeners(servers, self.pool, callbacks, log, heartbeat=heartbeat)

    def _record(self, what: str) -> None:
        self.calls.append(what)

    def _on_disconnect(self, can_read: bool) -> None:  # noqa: FBT001 - a callback with one argument
        """Record repeated calls once."""
        what = "disconnected, can read" if can_read else "disconnected"
        if self.calls[-1:] != [what] and "listening" in self.calls:
            self._record(what)

    def _on_notify(self, notification: Notification) -> None:
        self.calls.extend(f"new {uid}" for uid in notification.new)
        self.calls.extend(f"changed {uid}" for uid in notification.changed)

    async def notify(self, *payload: str, at: str = "") -> None:
        async with await psycopg.AsyncConnection.connect(at or self._admin, autocommit=True) as connection:
            for each in payload:
                await connection.execute(NOTIFY.encode(), [each])


def run_steps(recorded: RecordedListener, steps: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        async with running(recorded):
            await until(lambda: recorded.listener.is_verified)
            await steps()

    asyncio.run(run())


@asynccontextmanager
async def running(recorded: RecordedListener) -> AsyncIterator[None]:
    await recorded.pool.open()
    tasks = [asyncio.create_task(work) for work in (recorded.listener.run(), recorded.listener.watch())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await recorded.pool.close()


@pytest.fixture
def proxy(database: str) -> Iterator[tuple[Proxy, str]]:
    with proxied(database) as created:
        yield created


def test_notifications_of_new_and_changed_orders_arrive_in_order(database: str) -> None:
    recorded = RecordedListener(database, database)

    async def steps() -> None:
        await recorded.notify(*payloads(["a", "b"], ["c"]))
        await until(lambda: len(recorded.calls) == 4)
        assert recorded.calls == ["listening", "new a", "new b", "changed c"]

    run_steps(recorded, steps)


def test_none_of_many_notifications_at_once_is_lost(database: str) -> None:
    recorded = RecordedListener(database, database, heartbeat=0.2)  # so that heartbeats fall in between

    async def steps() -> None:
        uids = [f"order-{number:05}" for number in range(20_000)]
        await recorded.notify(*payloads(uids, []))
        await until(lambda: len(recorded.calls) >= 20_001)
        assert recorded.calls == ["listening", *(f"new {uid}" for uid in uids)]

    run_steps(recorded, steps)


def test_foreign_payloads_are_ignored(database: str) -> None:
    recorded = RecordedListener(database, database)

    async def steps() -> None:
        forged = '{"new": ["a\\n\\nevent: reset"]}'  # it would be written into event streams
        await recorded.notify("", "nonsense", "[]", '{"new": 1}', "null", forged, *payloads(["a"], []))
        await until(lambda: "new a" in recorded.calls)
        assert recorded.calls == ["listening", "new a"]

    run_steps(recorded, steps)


def test_every_heartbeat_verifies_the_connection(database: str) -> None:
    recorded = RecordedListener(database, database)

    async def steps() -> None:
        await until(lambda: len(recorded.verified_at) >= 5)
        gaps = [later - earlier for earlier, later in zip(recorded.verified_at, recorded.verified_at[1:], strict=False)]
        assert max(gaps) < HEARTBEAT * 1.5

    run_steps(recorded, steps)


def test_the_listener_outlasts_the_operators_limit_of_idle_sessions(database: str) -> None:
    limited = f"{database}?options=-cidle_session_timeout%3D{HEARTBEAT * 1000 / 2:.0f}"
    recorded = RecordedListener(limited, database)

    async def steps() -> None:
        await until(lambda: len(recorded.verified_at) >= 4)
        assert recorded.calls == ["listening"]

    run_steps(recorded, steps)


@pytest.mark.parametrize("fault", [Proxy.close_connections, Proxy.half_open])
def test_a_broken_connection_is_replaced_within_a_second(
    proxy: tuple[Proxy, str], database: str, fault: Callable[[Proxy], None]
) -> None:
    connection, dsn = proxy
    recorded = RecordedListener(dsn, database, reading=database)

    async def steps() -> None:
        await until(lambda: len(recorded.verified_at) >= 2)
        fault(connection)
        await recorded.notify(*payloads(["missed"], []))
        took = await until(lambda: recorded.calls.count("listening") == 2)
        assert took < MAX_STALE_SECONDS
        assert "new missed" not in recorded.calls
        await recorded.notify(*payloads(["received"], []))
        await until(lambda: "new received" in recorded.calls)
        assert recorded.calls == ["listening", "disconnected, can read", "listening", "new received"]

    run_steps(recorded, steps)


def test_each_disconnect_is_logged_once_regardless_of_the_number_of_attempts(
    proxy: tuple[Proxy, str], database: str
) -> None:
    connection, dsn = proxy

    async def outage() -> None:
        with connection.unreachable():
            attempts = connection.accepted + 3
            await until(lambda: connection.accepted >= attempts, within=5)
        await until(lambda: recorded.listener.is_verified)

    async def steps() -> None:
        await outage()
        await outage()

    with capture_logs() as log:
        recorded = RecordedListener(dsn, database)
        run_steps(recorded, steps)
    connected, lost = "receiving notifications", "not receiving notifications"
    assert [line["event"] for line in log] == [connected, lost, connected, lost, connected]


def test_a_pooler_that_drops_notifications_is_detected(database: str, tmp_path: Path) -> None:
    """LISTEN succeeds, but no notification ever arrives."""

    async def run() -> None:
        async with running(recorded):
            await until(lambda: recorded.calls.count("repeated timeouts") >= 2, within=5)  # it keeps retrying
            assert not recorded.listener.is_verified
            assert recorded.calls == ["repeated timeouts"] * recorded.calls.count("repeated timeouts")

    with pgbouncer(database, tmp_path / "pgbouncer.txt") as pooled:
        recorded = RecordedListener(pooled, database, reading=database)
        asyncio.run(run())


def test_a_frozen_server_counts_as_disconnected_until_it_is_thawed(own_postgres: "Postgres") -> None:
    recorded = RecordedListener(own_postgres.dsn, own_postgres.dsn)

    async def steps() -> None:
        await asyncio.to_thread(own_postgres.freeze)
        try:
            assert await until(lambda: "disconnected" in recorded.calls) < MAX_STALE_SECONDS
            assert not recorded.listener.is_verified
        finally:
            await asyncio.to_thread(own_postgres.thaw)
        await until(lambda: recorded.listener.is_verified)
        assert recorded.calls == ["listening", "disconnected", "listening"]

    run_steps(recorded, steps)


def test_the_listener_retries_until_the_server_starts(own_postgres: "Postgres") -> None:
    own_postgres.stop()
    recorded = RecordedListener(own_postgres.dsn, own_postgres.dsn)

    async def run() -> None:
        async with running(recorded):
            await asyncio.to_thread(own_postgres.start)
            await until(lambda: recorded.listener.is_verified)
            assert recorded.calls == ["listening"]

    asyncio.run(run())


def test_the_listener_recovers_from_a_full_notification_queue(own_postgres: "Postgres") -> None:
    limit_queue(own_postgres)
    recorded = RecordedListener(own_postgres.dsn, own_postgres.dsn)

    async def steps() -> None:
        with capture_logs() as logs, full_queue(own_postgres.dsn):
            await until(lambda: any("54000" in log.get("problem", "") for log in logs))
        await until(lambda: recorded.listener.is_verified)

    run_steps(recorded, steps)


def test_the_pool_is_replaced_together_with_a_half_open_listen_connection(
    proxy: tuple[Proxy, str], database: str
) -> None:
    """The pool's connections are half-open too."""
    connection, dsn = proxy
    recorded = RecordedListener(dsn, database)

    async def steps() -> None:
        await recorded.pool.identity()
        connection.half_open()
        await until(lambda: recorded.calls.count("listening") == 2)
        await recorded.pool.identity()  # on a half-open connection it would time out

    run_steps(recorded, steps)


def test_notifications_of_each_server_arrive(database: str, own_postgres: "Postgres") -> None:
    recorded = RecordedListener(database, database, own_postgres.dsn)

    async def steps() -> None:
        await recorded.notify(*payloads(["a"], []))
        await until(lambda: "new a" in recorded.calls)
        await recorded.notify(*payloads([], ["b"]), at=own_postgres.dsn)
        await until(lambda: "changed b" in recorded.calls)
        assert recorded.calls == ["listening", "new a", "changed b"]
        assert set(recorded.lsns) == {UNKNOWN_LSN}  # those of two servers cannot be compared

    run_steps(recorded, steps)


def test_losing_one_of_several_servers_counts_as_losing_all(database: str, own_postgres: "Postgres") -> None:
    recorded = RecordedListener(database, database, own_postgres.dsn)

    async def steps() -> None:
        await asyncio.to_thread(own_postgres.stop)
        assert await until(lambda: "disconnected, can read" in recorded.calls) < MAX_STALE_SECONDS
        assert [member.is_verified for member in recorded.listener.members] == [True, False]
        verified = len(recorded.verified_at)
        await asyncio.to_thread(own_postgres.start)
        await until(lambda: recorded.listener.is_verified and len(recorded.verified_at) > verified)
        assert recorded.calls == ["listening", "disconnected, can read", "listening"]

    run_steps(recorded, steps)


def test_two_connections_to_one_server_are_refused(database: str) -> None:
    """The other server's notifications would be missed."""
    assert refused_database(database, database, reading=database) == {SAME_DATABASE}


def test_the_servers_must_include_the_one_that_is_read(
    database: str, own_postgres: "Postgres", postgres_server: servers.Postgres
) -> None:
    with temporary.database(postgres_server.dsn) as (_, elsewhere):
        assert refused_database(elsewhere, own_postgres.dsn, reading=database) == {NO_DATABASE}
        assert refused_database(elsewhere, reading=database) == {OTHER_DATABASE}


def refused_database(*dsns: str, reading: str) -> set[str]:
    """Return the problems that are logged until one of the listeners is refused."""

    async def run() -> None:
        async with running(recorded):
            await until(lambda: any(line["event"] == "not receiving notifications" for line in log))
            assert "listening" not in recorded.calls

    first, *more = dsns
    with capture_logs() as log:
        recorded = RecordedListener(first, reading, *more, reading=reading)
        asyncio.run(run())
    return {line["problem"] for line in log if line["event"] == "not receiving notifications"}
