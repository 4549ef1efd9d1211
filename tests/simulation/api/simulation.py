"""Runs one plan: starts the API's parts, clients, writers and faults, and verifies every answer."""

import asyncio
import gc
import json
import logging
import tempfile
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, Final
from unittest import mock

import psycopg
import structlog

from service.app.api import wiring
from service.app.api.parts import ApiParts
from service.config import CacheSettings, PostgresSettings, Settings
from service.config.settings import ListenerSettings
from tests.simulation.api.checker import Checker
from tests.simulation.api.clients import Clients
from tests.simulation.api.clock import Clock, virtual
from tests.simulation.api.database import Database
from tests.simulation.api.loop import Network, VirtualLoop, delay
from tests.simulation.api.nemesis import Nemesis
from tests.simulation.api.plan import FAULTS_UNTIL_SECONDS, Layout, Plan
from tests.simulation.result import Result
from tests.simulation.scheduler import Deadlock
from tests.simulation.seeded import seeded
from tests.simulation.timeline import Timeline, TimelineLog
from tests.simulation.violation import Violation

RECOVERY_SECONDS: Final = 15.0
"""How long after the last fault hits must be served again at the latest."""
RETRY_SECONDS: Final = 0.3
CLOSE_SECONDS: Final = 2.0
BEFORE_COMMIT_SECONDS: Final = 0.008
"""How long a request begins before a commit: as long as a query takes."""


def simulate(plan: Plan) -> Result:
    with seeded(plan.seed), _quiet(), tempfile.TemporaryDirectory() as folder:
        simulation = Simulation(plan, Path(folder))
        problem = None
        try:
            simulation.run()
        except (Violation, Deadlock) as error:
            problem = f"{type(error).__name__}: {error}"
    timeline = simulation.timeline
    pairs = frozenset((kind, plan.layout) for kind in simulation.nemesis.struck)
    return Result(plan, problem, pairs, timeline.digest, timeline.events)


@contextmanager
def _quiet() -> Iterator[None]:
    """Let the pool log nothing, and asyncio nothing of tasks that a violation leaves behind."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(disabled)


class _Log(TimelineLog):
    """Without addresses, which differ in each simulation."""

    def _add(self, event: str, **fields: Any) -> None:
        fields.pop("server", None)
        super()._add(event, **fields)

    info = warning = error = debug = _add


class Simulation:
    def __init__(self, plan: Plan, folder: Path) -> None:
        random = Random(f"API schedule {plan.seed}")  # noqa: S311 - must be reproducible
        self.plan = plan
        self.clock = Clock()
        self.timeline = Timeline(self.clock)
        self._network = Network()
        self._loop = VirtualLoop(self.clock, self._network, random)
        self._random = random
        self.database = Database(plan.layout, self.clock, self._network, random, folder, replay_lag=plan.replay_lag)
        self.checker = Checker(self.database.read_server.copy, plan.heartbeat, plan.max_stale)
        self.nemesis = Nemesis(plan, self.database, self._loop, self.checker, self.timeline)
        self._tasks: set[asyncio.Task[None]] = set()
        self._main: asyncio.Task[None] | None = None
        self._error: Exception | None = None
        self._has_ended = False
        self._problems: list[str] = []
        """Errors that asyncio would log."""

    def run(self) -> None:
        """Raises Violation and Deadlock."""
        self._loop.set_exception_handler(self._on_unhandled)
        with self._virtual():
            self.parts = self._build()
            self.clients = Clients(self.plan, self.parts, self.checker, self.clock, self._random, self.timeline)
            self.database.fill()
            try:
                self._loop.run_until_complete(self._run())
                self._verify_closed()
            finally:
                self._close()

    @contextmanager
    def _virtual(self) -> Iterator[None]:
        with virtual(self.clock), mock.patch.object(psycopg.waiting, "_last_yield", 0.0):
            yield

    def _build(self) -> ApiParts:
        plan, database = self.plan, self.database
        dsns = [each.dsn for each in database.listening]
        settings = Settings(
            postgres=PostgresSettings(
                dsn=database.reads.dsn,
                listen_dsn=None if database.listening == [database.reads] else json.dumps(dsns),
                statement_timeout=plan.statement_timeout,
                pool_size=plan.pool_size,
            ),
            cache=CacheSettings(max_entries=plan.max_entries, warm_up_size=plan.warm_up_size, max_stale=plan.max_stale),
            listener=ListenerSettings(heartbeat=plan.heartbeat),
        )
        log = _Log(self.timeline, lambda: None, lambda _, __: None)
        with mock.patch.object(structlog, "get_logger", return_value=log):
            return wiring.build(settings)

    def _on_unhandled(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._problems.append(f"{context['message']}: {context.get('exception')!r}")

    async def _run(self) -> None:
        """Raises the first error of any task."""
        self._main = asyncio.current_task()
        self._started(self._scenario())
        while not self._has_ended and self._error is None:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        if self._error is not None:
            raise self._error

    def _started(self, work: Coroutine[None, None, object]) -> "asyncio.Task[None]":
        task = asyncio.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guarded(self, work: Coroutine[None, None, object]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - raised by _run
            self._error = self._error or error

    async def _scenario(self) -> None:
        database, cache = self.parts.database, self.parts.cache
        await database.pool.open()
        services = [
            self._started(database.listeners.run()),
            self._started(database.listeners.watch()),
            self._started(cache.warm_up.run(cache.changes.listening)),
        ]
        clients = [self._started(self.clients.run(self.database.uids)) for _ in range(self.plan.clients)]
        writer = self._started(self._write())
        await delay(FAULTS_UNTIL_SECONDS)
        await delay(self.nemesis.ends_at - self.clock.now)
        await self._recover()
        await _cancel([writer])
        await self._verify_hits()
        self.clients.is_stopping = True
        await asyncio.gather(*clients)
        await self._verify_idle()
        await _cancel(services)
        await database.pool.close()
        await self._verify_no_tasks()
        self._has_ended = True

    async def _write(self) -> None:
        """Commit at random moments. Request the orders just before, so that a query may miss the commit, and after."""
        while True:
            await delay(self._random.expovariate(self.plan.commits_per_second))
            uids = self.database.sample()
            for uid in uids:
                self._started(self.clients.find_later(uid))
                self._started(self.clients.find(uid))
            await delay(self._random.random() * BEFORE_COMMIT_SECONDS)
            if self.database.write(uids):
                self.timeline.add(f"COMMIT: {' '.join(uids)}")

    async def _recover(self) -> None:
        """Wait until the API has recovered, while clients and writers continue."""
        if not await self._becomes(lambda: self._has_recovered):
            raise Violation(f"{RECOVERY_SECONDS:g} s after the last fault, the API has not recovered")

    async def _becomes(self, is_true: Callable[[], bool]) -> bool:
        for _ in range(round(RECOVERY_SECONDS / RETRY_SECONDS)):
            if is_true():
                return True
            await delay(RETRY_SECONDS)
        return is_true()

    @property
    def _has_recovered(self) -> bool:
        database = self.parts.database
        if not self._notifications_arrive:
            return database.pool.is_reachable
        return database.status.sends_notifications and self.parts.cache.warm_up.seconds is not None

    @property
    def _notifications_arrive(self) -> bool:
        """Whether the layout lets notifications through."""
        is_promoted = not self.database.cluster.standbys
        return self.plan.layout.caches or (self.plan.layout is Layout.ONLY_STANDBY and is_promoted)

    async def _verify_hits(self) -> None:
        """Verify that each stored order is served from the cache once it was queried, and is the stored version."""
        await delay(2 * self.plan.heartbeat + self.plan.replay_lag)
        for uid in self.database.uids:
            deadline = self.clock.now + RECOVERY_SECONDS
            while not await self._is_served(uid):
                if self.clock.now > deadline:
                    raise Violation(f"{RECOVERY_SECONDS:g} s after the last fault, {uid} is not served from the cache")
                await delay(RETRY_SECONDS)

    async def _is_served(self, uid: str) -> bool:
        """Request an order twice. Only the second answer must be a hit."""
        await self.clients.find(uid)
        is_hit = await self.clients.find(uid)
        return is_hit or not self._notifications_arrive or uid not in self.checker.copy.orders

    async def _verify_idle(self) -> None:
        """Verify that no read runs on."""
        if not await self._becomes(lambda: not self._running_reads()):
            running = self._running_reads()
            raise Violation(f"{RECOVERY_SECONDS:g} s after the last request, {running} reads are running")

    def _running_reads(self) -> int:
        loader = self.parts.backends.lookup._queries
        attached = len(self.parts.cache.orders._running) - 1
        return attached + len(loader._running) + len(loader._current) + len(loader._waiting)

    async def _verify_no_tasks(self) -> None:
        await delay(CLOSE_SECONDS)
        left = asyncio.all_tasks() - {asyncio.current_task(), self._main}
        if left:
            names = sorted(str(each.get_coro()) for each in left)
            raise Violation(f"{CLOSE_SECONDS:g} s after the end, tasks are running: {names}")

    def _verify_closed(self) -> None:
        """Verify that the API has closed its connections."""
        self._network.receive()
        self.clock.advance(self.clock.now + CLOSE_SECONDS)
        if self._problems:
            raise Violation(self._problems[0])
        if self._links():
            gc.collect()  # the error of an attempt to connect that was canceled refers to its socket, in a cycle
            self._network.receive()
        if left := self._links():
            raise Violation(f"{left} connections are left open")

    def _links(self) -> int:
        return sum(len(each.links) for each in self.database.addresses)

    def _close(self) -> None:
        """End what a violation has left behind."""
        self._loop.run_until_complete(self._end())
        self.database.close()
        self._loop.close()
        self._network.close()

    async def _end(self) -> None:
        await _cancel(self._tasks)
        await self.parts.database.pool.close()
        await _cancel(asyncio.all_tasks() - {asyncio.current_task()})


async def _cancel(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    tasks = [*tasks]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
