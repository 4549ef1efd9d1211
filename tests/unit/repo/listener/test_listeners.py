"""The listeners of several servers. tests/integration/test_listener.py runs them."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import structlog
from structlog.testing import capture_logs

from service.errors import CommandFailed, StorageUnavailable
from service.repo.conninfo import Conninfo
from service.repo.listener.callbacks import MergedCallbacks
from service.repo.listener.listeners import Listeners
from service.repo.scope import Identity
from tests.kit.waiting import one_iteration, until, until_idle


class NoReads:
    async def identity(self) -> Identity:
        raise NotImplementedError

    async def replace_connections(self) -> None:
        raise NotImplementedError


def ignore(*_: object) -> None:
    """Do nothing."""


class Reads(NoReads):
    """Answers once `gate` is set, unless PostgreSQL is unreachable. Counts how often its connections are replaced."""

    def __init__(self) -> None:
        self.is_unreachable = False
        self.queries = 0
        self.replacements = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def identity(self) -> Identity:
        self.queries += 1
        await self.gate.wait()
        if self.is_unreachable:
            raise StorageUnavailable("unreachable")
        return Identity("channel", "database", is_standby=False)

    async def replace_connections(self) -> None:
        self.replacements += 1


class Setup:
    """Two listeners that are not connected, with short intervals."""

    def __init__(self) -> None:
        self.reads = Reads()
        self.disconnects: list[bool] = []
        callbacks = MergedCallbacks(
            on_listen=ignore,
            on_lsn=ignore,
            on_verified=ignore,
            on_notify=ignore,
            on_repeated_timeouts=ignore,
            on_disconnect=self.disconnects.append,
        )
        servers = [Conninfo(f"postgresql://node-{number}/orders") for number in range(2)]
        self.listeners = Listeners(servers, self.reads, callbacks, structlog.get_logger(), heartbeat=0.02)

    def set_verified(self) -> None:
        for number in range(2):
            self.listeners._merged.callbacks_of(number).on_listen(7)

    async def watched(self, play: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.create_task(self.listeners.watch())
        await play()
        task.cancel()


async def next_disconnects(setup: Setup, count: int) -> list[bool]:
    """Wait for this many further calls."""
    start = len(setup.disconnects)
    await until(lambda: len(setup.disconnects) >= start + count)
    return setup.disconnects[start : start + count]


@pytest.mark.anyio
async def test_while_a_listener_is_lost_whether_reads_work_is_told_repeatedly() -> None:
    setup = Setup()

    async def play() -> None:
        assert await next_disconnects(setup, 2) == [True, True]
        setup.reads.is_unreachable = True
        assert (await next_disconnects(setup, 3))[1:] == [False, False]

    await setup.watched(play)


@pytest.mark.anyio
async def test_a_read_that_does_not_return_in_time_does_not_work_and_is_not_repeated() -> None:
    setup = Setup()
    setup.reads.gate.clear()

    async def play() -> None:
        assert await next_disconnects(setup, 3) == [False] * 3
        assert setup.reads.queries == 1
        setup.reads.gate.set()
        assert (await next_disconnects(setup, 2))[1]

    await setup.watched(play)


@pytest.mark.anyio
async def test_whether_reads_work_is_told_twice_per_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    setup, waits = Setup(), list[float]()

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await one_iteration()

    async def play() -> None:
        while len(setup.disconnects) < 3:
            await one_iteration()

    with monkeypatch.context() as patched:
        patched.setattr("service.repo.listener.listeners.asyncio.sleep", sleep)
        await setup.watched(play)
    assert {*waits} == {0.01}


@pytest.mark.anyio
async def test_connections_that_do_not_answer_a_query_in_time_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.repo.listener.listeners.QUERY_TIMEOUT_SECONDS", 0.01)
    setup = Setup()
    setup.reads.gate.clear()

    async def play() -> None:
        await until(lambda: setup.reads.replacements > 0)

    await setup.watched(play)


def test_the_failure_of_any_listener_is_logged_with_its_server_and_ends_the_verification() -> None:
    setup = Setup()
    for number, listener in enumerate(setup.listeners.members):
        setup.set_verified()
        was_verified = setup.listeners.is_verified
        with capture_logs() as logs:
            listener._on_failure(ConnectionRefusedError())
        assert (was_verified, setup.listeners.is_verified) == (True, False)
        (line,) = logs
        assert (line["event"], line["server"]) == ("not receiving notifications", f"node-{number}:5432")


@pytest.mark.anyio
async def test_once_all_are_verified_nothing_is_told_until_one_is_lost() -> None:
    setup = Setup()
    setup.reads.gate.clear()

    async def play() -> None:
        await until(lambda: setup.reads.queries == 1)
        setup.set_verified()
        setup.reads.gate.set()
        await until_idle()
        assert setup.listeners.is_verified
        assert setup.disconnects == []
        setup.listeners._merged.callbacks_of(1).on_disconnect()
        assert await next_disconnects(setup, 1) == [True]

    await setup.watched(play)


@pytest.mark.anyio
async def test_an_error_that_no_retry_helps_ends_all_listeners(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = Setup()
    ended: list[str] = []

    async def fail() -> None:
        raise CommandFailed("no such channel")

    async def listen() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(9):
                await asyncio.sleep(0)
            ended.append("closed")

    first, second = setup.listeners.members
    monkeypatch.setattr(first, "run", listen)
    monkeypatch.setattr(second, "run", fail)
    with pytest.raises(CommandFailed, match="no such channel"):
        await setup.listeners.run()
    assert ended == ["closed"]


def test_a_listener_is_named_by_its_address_without_the_password() -> None:
    dsns = [f"postgresql://me:secret@node-{number}:5432/orders" for number in range(2)]
    callbacks = MergedCallbacks(
        on_listen=ignore,
        on_lsn=ignore,
        on_verified=ignore,
        on_notify=ignore,
        on_repeated_timeouts=ignore,
        on_disconnect=ignore,
    )
    log = structlog.get_logger()
    listeners = Listeners([*map(Conninfo, dsns)], NoReads(), callbacks, log, heartbeat=1)
    assert [member.server for member in listeners.members] == ["node-0:5432", "node-1:5432"]
    assert not listeners.is_verified
