"""The listener on a real PostgreSQL, through a proxy that cuts and silences its connection."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest
import structlog
from structlog.testing import capture_logs

from service.pkg.tx import Access
from service.repo.listener import Listener, ListenerCallbacks
from service.repo.notifications import payloads
from service.repo.reads import OrderReads
from tests.notified import NOTIFY
from tests.proxy import Proxy, proxied
from tests.waiting import until

if TYPE_CHECKING:
    from local.postgres import Postgres

HEARTBEAT = 0.5
BOUND = 1.0  # seconds of staleness while PostgreSQL is reachable


class Scene:
    """A running listener, and what it told."""

    def __init__(self, dsn: str, admin: str, heartbeat: float = HEARTBEAT, reading: str = "") -> None:
        self._admin = admin
        self.told: list[str] = []
        self.proven_at: list[float] = []
        self.positions: list[int] = []
        ears = ListenerCallbacks(
            listening=lambda _: self._tell("listening"),
            reached=self.positions.append,
            proven=self.proven_at.append,
            heard=self._hear,
            lost=self._lose,
            deaf=lambda: self._tell("deaf"),
        )
        self.reads = OrderReads(Access(reading or dsn, "tests", connect_timeout=2, statement_timeout=2), 2)
        self.listener = Listener(dsn, self.reads, ears, structlog.get_logger(), heartbeat=heartbeat, connect_timeout=5)

    def _tell(self, what: str) -> None:
        self.told.append(what)

    def _lose(self, can_read: bool) -> None:  # noqa: FBT001 - a callback with one argument
        """Remember what it says as long as it says nothing else."""
        what = "lost, and can read" if can_read else "lost"
        if self.told[-1:] != [what] and "listening" in self.told:
            self._tell(what)

    def _hear(self, new: list[str], changed: list[str]) -> None:
        self.told.extend([*(f"new {uid}" for uid in new), *(f"changed {uid}" for uid in changed)])

    async def notify(self, *payload: str) -> None:
        async with await psycopg.AsyncConnection.connect(self._admin, autocommit=True) as connection:
            for each in payload:
                await connection.execute(NOTIFY.encode(), [each])


def play(scene: Scene, steps: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        async with running(scene):
            await until(lambda: scene.listener.is_proven)
            await steps()

    asyncio.run(run())


@asynccontextmanager
async def running(scene: Scene) -> AsyncIterator[None]:
    await scene.reads.open()
    tasks = [asyncio.create_task(work) for work in (scene.listener.run(), scene.listener.watch())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await scene.reads.close()


@pytest.fixture
def proxy(database: str) -> Iterator[tuple[Proxy, str]]:
    with proxied(database) as made:
        yield made


def test_new_and_changed_orders_are_heard_in_their_order(database: str) -> None:
    scene = Scene(database, database)

    async def steps() -> None:
        await scene.notify(*payloads(["a", "b"], ["c"]))
        await until(lambda: len(scene.told) == 4)
        assert scene.told == ["listening", "new a", "new b", "changed c"]

    play(scene, steps)


def test_many_notifications_at_once_are_all_heard(database: str) -> None:
    scene = Scene(database, database, heartbeat=0.2)  # so that heartbeats fall in between

    async def steps() -> None:
        uids = [f"order-{number:05}" for number in range(20_000)]
        await scene.notify(*payloads(uids, []))
        await until(lambda: len(scene.told) >= 20_001)
        assert scene.told == ["listening", *(f"new {uid}" for uid in uids)]

    play(scene, steps)


def test_what_somebody_else_sends_is_no_harm(database: str) -> None:
    scene = Scene(database, database)

    async def steps() -> None:
        forged = '{"new": ["a\\n\\nevent: reset"]}'  # it would be written into event streams
        await scene.notify("", "nonsense", "[]", '{"new": 1}', "null", forged, *payloads(["a"], []))
        await until(lambda: "new a" in scene.told)
        assert scene.told == ["listening", "new a"]

    play(scene, steps)


def test_it_proves_itself_with_every_heartbeat(database: str) -> None:
    scene = Scene(database, database)

    async def steps() -> None:
        await until(lambda: len(scene.proven_at) >= 5)
        gaps = [later - earlier for earlier, later in zip(scene.proven_at, scene.proven_at[1:], strict=False)]
        assert max(gaps) < HEARTBEAT * 1.5

    play(scene, steps)


@pytest.mark.parametrize("harm", [Proxy.cut, Proxy.silence])
def test_a_lost_connection_is_replaced_within_the_bound_and_listens_before_it_tells(
    proxy: tuple[Proxy, str], database: str, harm: Callable[[Proxy], None]
) -> None:
    wire, dsn = proxy
    scene = Scene(dsn, database, reading=database)

    async def steps() -> None:
        await until(lambda: len(scene.proven_at) >= 2)
        harm(wire)
        await scene.notify(*payloads(["missed"], []))
        took = await until(lambda: scene.told.count("listening") == 2)
        assert took < BOUND
        assert "new missed" not in scene.told
        await scene.notify(*payloads(["heard"], []))
        await until(lambda: "new heard" in scene.told)
        assert scene.told == ["listening", "lost, and can read", "listening", "new heard"]

    play(scene, steps)


def test_a_loss_is_logged_once_however_many_attempts_it_takes_and_the_next_loss_at_once(
    proxy: tuple[Proxy, str], database: str
) -> None:
    wire, dsn = proxy

    async def outage() -> None:
        with wire.unreachable():
            enough = wire.accepted + 3
            await until(lambda: wire.accepted >= enough, within=5)
        await until(lambda: scene.listener.is_proven)

    async def steps() -> None:
        await outage()
        await outage()

    with capture_logs() as told:
        scene = Scene(dsn, database)
        play(scene, steps)
    arrive, lost = "notifications arrive", "notifications don't arrive"
    assert [line["event"] for line in told] == [arrive, lost, arrive, lost, arrive]


def test_a_server_that_is_deaf_to_listen_is_found_out(database: str) -> None:
    """LISTEN succeeds, and nothing ever arrives."""
    scene = Scene(database, database)
    scene.listener._own_channel = "x; UNLISTEN *"

    async def run() -> None:
        async with running(scene):
            await until(lambda: scene.told.count("deaf") >= 2, within=5)  # tries again and again
            assert not scene.listener.is_proven
            assert scene.told == ["deaf"] * scene.told.count("deaf")

    asyncio.run(run())


def test_a_frozen_server_counts_as_lost_and_a_thawed_one_is_heard_again(own_postgres: "Postgres") -> None:
    scene = Scene(own_postgres.dsn, own_postgres.dsn)

    async def steps() -> None:
        await asyncio.to_thread(own_postgres.freeze)
        try:
            assert await until(lambda: "lost" in scene.told) < BOUND
            assert not scene.listener.is_proven
        finally:
            await asyncio.to_thread(own_postgres.thaw)
        await until(lambda: scene.listener.is_proven)
        assert scene.told == ["listening", "lost", "listening"]

    play(scene, steps)


def test_it_waits_for_a_server_that_is_not_there_yet(own_postgres: "Postgres") -> None:
    own_postgres.stop()
    scene = Scene(own_postgres.dsn, own_postgres.dsn)

    async def run() -> None:
        async with running(scene):
            await asyncio.to_thread(own_postgres.start)
            await until(lambda: scene.listener.is_proven)
            assert scene.told == ["listening"]

    asyncio.run(run())


def test_reads_after_a_half_open_connection_was_replaced_need_not_find_out_about_theirs(
    proxy: tuple[Proxy, str], database: str
) -> None:
    """The pool's connections are half-open as well."""
    silent, dsn = proxy
    scene = Scene(dsn, database)

    async def steps() -> None:
        await scene.reads.estimate()
        silent.silence()
        await until(lambda: scene.told.count("listening") == 2)
        await scene.reads.estimate()  # else it would end by the statement timeout

    play(scene, steps)
