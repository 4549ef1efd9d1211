"""When heartbeats verify a listener and when it reconnects, on a clock that advances while it waits."""

from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import anyio
import psycopg
import pytest
import structlog
from psycopg.errors import UndefinedFunction
from structlog.testing import capture_logs

from service.repo.connection import NEVER_TIME_OUT_IDLE, BoundedAsyncConnection
from service.repo.conninfo import Conninfo
from service.repo.listener import listener as module
from service.repo.listener.callbacks import ListenerCallbacks
from service.repo.listener.listener import CURRENT_LSN, LAST_READ_SECONDS, Listener, _HeartbeatTimeout
from service.repo.notifications import payloads
from service.repo.scope import DATABASE, Identity
from service.usecases.minimum_lsn import UNKNOWN_LSN

pytestmark = pytest.mark.anyio

HEARTBEAT = 4.0
START = 1_000.0
CHANNEL = "orders_stored"


class Server:
    """Two fake connections to one server: notifications arrive at given times, and the clock advances until then."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = START
        self.arrivals: list[tuple[float, str, str]] = []
        self.delays: list[float] = []
        """Seconds after which each heartbeat arrives; without one, it is lost."""
        self.sending_seconds = 0.0
        self.beats: list[str] = []
        self.executed: list[tuple[str | bytes, Sequence[str]]] = []
        self.has_lsn = True
        self.arguments: list[dict[str, Any]] = []
        self.closed = self.reads = 0
        monkeypatch.setattr(module, "monotonic", lambda: self.now)
        monkeypatch.setattr(BoundedAsyncConnection, "connect", self._connect)

    async def _connect(self, _: str, **arguments: Any) -> "Server":
        self.arguments.append(arguments)
        return self

    @property
    def info(self) -> SimpleNamespace:
        return SimpleNamespace(backend_pid=7)

    def add_notify_handler(self, _: object) -> None: ...

    async def close(self) -> None:
        self.closed += 1

    async def execute(self, statement: str | bytes, values: Sequence[str] = ()) -> SimpleNamespace:
        self.executed.append((statement, values))
        text = statement if isinstance(statement, str) else statement.decode()
        if CURRENT_LSN in text and not self.has_lsn:
            raise UndefinedFunction
        rows: list[tuple[Any, ...]] = [("here",)] if text == f"SELECT {DATABASE}" else []
        if "pg_notify" in text:
            rows = [("", 77 if CURRENT_LSN in text else Decimal(text.rpartition(",")[2]))]
            self._send(*values)

        async def fetchall() -> list[tuple[Any, ...]]:
            return rows

        return SimpleNamespace(fetchall=fetchall)

    def _send(self, channel: str, number: str) -> None:
        self.beats.append(number)
        self.now += self.sending_seconds
        if self.delays:
            self.arrivals.append((self.now + self.delays.pop(0), channel, number))

    async def notifies(  # psycopg's interface
        self,
        *,
        timeout: float,  # noqa: ASYNC109
        stop_after: int,
    ) -> AsyncIterator[SimpleNamespace]:
        """Yield what arrives until the timeout, or `stop_after` and what has arrived together with them."""
        self.reads += 1
        assert self.reads < 100, "the listener does not stop reading"
        deadline, count = self.now + timeout, 0
        while count < stop_after:
            earliest = min(self.arrivals, default=(deadline + 1, "", ""))[0]
            if earliest > deadline:
                self.now = deadline
                return
            self.now = max(self.now, earliest)
            arrived = sorted(each for each in self.arrivals if each[0] <= self.now)
            for each in arrived:
                self.arrivals.remove(each)
                yield SimpleNamespace(channel=each[1], payload=each[2])
            count += len(arrived)


class Reads:
    replaced = 0

    async def identity(self) -> Identity:
        return Identity(CHANNEL, "here", is_standby=False)

    async def replace_connections(self) -> None:
        self.replaced += 1


class Setup:
    """A listener of a fake server, and its calls with the seconds since the start."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, problem: str | None = None) -> None:
        self.server = Server(monkeypatch)
        self.reads = Reads()
        self.calls: list[tuple[str, float]] = []
        callbacks = ListenerCallbacks(
            on_listen=lambda lsn: self._record(f"listen {lsn!r}"),
            on_lsn=lambda lsn: self._record(f"lsn {lsn!r}"),
            on_verified=lambda at: self._record(f"verified {at - START:g}"),
            on_notify=lambda notification: self._record(f"notify {','.join(notification.new)}"),
            on_disconnect=lambda: self._record("disconnect"),
            on_repeated_timeouts=lambda: self._record("repeated timeouts"),
            database_problem=lambda *_: problem,
        )
        conninfo = Conninfo("postgresql://node/orders", connect_timeout=0.01)
        self.listener = Listener(conninfo, self.reads, callbacks, structlog.get_logger(), heartbeat=HEARTBEAT)

    def _record(self, what: str) -> None:
        self.calls.append((what, self.server.now - START))

    def arrive(self, seconds: float, uid: str) -> None:
        [payload] = payloads([uid], [])
        self.server.arrivals.append((START + seconds, CHANNEL, payload))

    async def beat(self) -> None:
        connection = cast("BoundedAsyncConnection", self.server)
        await self.listener._beat(connection, connection, module.HEARTBEAT.format(lsn=CURRENT_LSN), CHANNEL)


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch) -> Setup:
    return Setup(monkeypatch)


async def test_a_heartbeat_verifies_when_it_arrives_and_the_next_one_is_sent_an_interval_later(setup: Setup) -> None:
    setup.server.delays = [0.5]
    for seconds, uid in ((0.25, "before"), (0.75, "after"), (3.75, "last"), (4.5, "later")):
        setup.arrive(seconds, uid)
    await setup.beat()
    assert setup.calls == [
        ("lsn 77", 0),
        ("notify before", 0.25),
        ("listen 77", 0.5),
        ("verified 0", 0.5),
        ("notify after", 0.75),
        ("notify last", 3.75),
    ]
    assert setup.server.now == START + HEARTBEAT


async def test_a_heartbeat_that_arrives_after_half_an_interval_has_timed_out(setup: Setup) -> None:
    setup.server.delays = [2.5]
    setup.arrive(1.5, "before")
    with pytest.raises(_HeartbeatTimeout):
        await setup.beat()
    assert setup.calls == [("lsn 77", 0), ("notify before", 1.5)]
    assert setup.server.now == pytest.approx(START + HEARTBEAT / 2 + LAST_READ_SECONDS)


async def test_a_heartbeat_that_arrived_in_time_verifies_although_it_is_read_late(setup: Setup) -> None:
    setup.server.sending_seconds = 3.0
    setup.server.delays = [0.0]
    setup.arrive(2.5, "before")
    await setup.beat()
    assert setup.calls == [("lsn 77", 3), ("notify before", 3), ("listen 77", 3), ("verified 0", 3)]


async def test_an_earlier_heartbeat_does_not_verify_a_later_one(setup: Setup) -> None:
    setup.server.delays = [0.5]
    await setup.beat()
    channel = setup.listener._heartbeat_channel
    setup.server.arrivals.append((setup.server.now + 0.5, channel, setup.server.beats[0]))
    with pytest.raises(_HeartbeatTimeout):
        await setup.beat()


async def _run(setup: Setup) -> list[Any]:
    """Run the listener until its first pause after a failure; return the logs."""
    with capture_logs() as logs, anyio.move_on_after(0.1):
        await setup.listener.run()
    return logs


async def test_each_connection_is_closed_after_a_failure(setup: Setup) -> None:
    await _run(setup)
    assert setup.calls == [("lsn 77", 0), ("disconnect", pytest.approx(2 + LAST_READ_SECONDS))]
    assert setup.server.closed == len(setup.server.arguments) == 2
    for arguments in setup.server.arguments:
        assert arguments == {"autocommit": True, "application_name": "orders-listener", "prepare_threshold": None}
    assert setup.reads.replaced == 0


async def test_no_connection_is_ended_for_being_idle(setup: Setup) -> None:
    await _run(setup)
    assert setup.server.executed.count((NEVER_TIME_OUT_IDLE, ["7"])) == 2


async def test_connections_for_reads_are_replaced_once_after_a_verified_connection_has_failed(setup: Setup) -> None:
    setup.server.delays = [0.5]
    await _run(setup)
    assert [what for what, _ in setup.calls] == [
        *("lsn 77", "listen 77", "verified 0"),
        *("lsn 77", "disconnect"),
        *("lsn 77", "disconnect"),
    ]
    assert setup.reads.replaced == 1


async def test_a_server_without_the_lsn_function_is_listened_to_with_an_unknown_lsn(setup: Setup) -> None:
    setup.server.has_lsn = False
    setup.server.delays = [0.5]
    await _run(setup)
    assert setup.calls[:3] == [(f"lsn {UNKNOWN_LSN}", 0), (f"listen {UNKNOWN_LSN}", 0.5), ("verified 0", 0.5)]


async def test_the_problem_of_a_wrong_database_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = Setup(monkeypatch, problem="another database")
    [failure] = await _run(setup)
    assert failure["problem"] == "another database"
    assert [what for what, _ in setup.calls] == ["disconnect"]


async def test_connecting_times_out(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(*_: object, **__: object) -> psycopg.AsyncConnection:
        await anyio.sleep_forever()
        raise AssertionError

    monkeypatch.setattr(BoundedAsyncConnection, "connect", connect)
    [failure] = await _run(setup)
    assert failure["problem"] == "the connection to PostgreSQL failed: timed out"


async def test_two_listeners_have_channels_of_their_own(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    assert setup.listener._heartbeat_channel != Setup(monkeypatch).listener._heartbeat_channel
