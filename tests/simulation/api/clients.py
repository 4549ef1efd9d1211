"""Requests of clients: single and of many orders, at random moments, around commits and after faults."""

import asyncio
from collections.abc import Awaitable, Sequence
from random import Random
from typing import Final, TypeVar

from service.app.api.parts import ApiParts
from service.errors import StorageUnavailable
from tests.simulation.api.checker import Checker
from tests.simulation.api.clock import Clock
from tests.simulation.api.loop import delay
from tests.simulation.api.plan import Plan
from tests.simulation.scheduler import START_SECONDS
from tests.simulation.timeline import Timeline
from tests.simulation.violation import Violation

MAX_PAUSE_SECONDS: Final = 0.3
BULK: Final = 0.2
"""Share of the requests that ask for many orders."""
MAX_BYTES: Final = 2**20
FOLLOW_UP_SECONDS: Final = (0.008, 0.012, 0.6, 1.15)
"""When orders that are being committed are requested again: the last time, the answer must be current."""
CANCEL_SECONDS: Final = 5.0
"""How long a query that has timed out is canceled."""
MARGIN_SECONDS: Final = 0.5
NEVER_SECONDS: Final = 60.0
"""Longer than every deadline, and than the API is suspended."""
T = TypeVar("T")


class Clients:
    def __init__(
        self, plan: Plan, parts: ApiParts, checker: Checker, clock: Clock, random: Random, timeline: Timeline
    ) -> None:
        self._plan = plan
        self._parts = parts
        self._checker = checker
        self._clock = clock
        self._random = random
        self._timeline = timeline
        self._deadline_seconds = plan.statement_timeout + CANCEL_SECONDS + MARGIN_SECONDS
        self.is_stopping = False
        """Ends `run` after the current request. To cancel it would not: psycopg_pool may swallow the cancellation."""

    async def run(self, uids: Sequence[str]) -> None:
        """Send requests until `is_stopping`."""
        while not self.is_stopping:
            await delay(self._random.random() * MAX_PAUSE_SECONDS)
            if self._random.random() < BULK:
                await self.find_many(self._random.sample(uids, self._random.randint(2, len(uids))))
            else:
                await self.find(self._random.choice(uids))

    async def find_later(self, uid: str) -> None:
        """Request an order soon after it was committed."""
        await delay(self._random.choice(FOLLOW_UP_SECONDS))
        await self.find(uid)

    async def find(self, uid: str) -> bool:
        """Request an order; return whether it was answered without a query."""
        began = self._clock.now
        try:
            answer = await self._ended(self._parts.backends.lookup.find(uid))
        except StorageUnavailable as error:
            self._timeline.add(f"{uid} requested at {began - START_SECONDS:.3f}: {error.problem}")
            self._verify_unavailable(uid)
            self._verify_deadline(uid, began)
            return False
        self._checker.verify(uid, answer, began, self._clock.now)
        self._verify_deadline(uid, began)
        self._verify_size()
        is_hit = answer is not None and answer.is_hit
        self._timeline.add(f"{uid} {'hit' if is_hit else 'miss'}: {None if answer is None else answer.tag[:6]}")
        return is_hit and self._clock.now == began

    async def find_many(self, uids: Sequence[str]) -> None:
        began = self._clock.now
        try:
            found = await self._ended(self._parts.backends.bulk_lookup.find(uids, MAX_BYTES))
        except StorageUnavailable as error:
            self._timeline.add(f"{len(uids)} orders requested at {began - START_SECONDS:.3f}: {error.problem}")
        else:
            for uid in uids:
                body = found.get(uid)
                self._checker.verify_body(uid, None if body is None else bytes(body), began, self._clock.now)
            self._timeline.add(f"{len(uids)} orders requested: {len(found)} found")
        self._verify_deadline(f"{len(uids)} orders", began)
        self._verify_size()

    async def _ended(self, request: Awaitable[T]) -> T:
        """Return the answer. Raises Violation if none comes."""
        try:
            async with asyncio.timeout(NEVER_SECONDS):
                return await request
        except TimeoutError:
            raise Violation(f"a request has not ended after {NEVER_SECONDS:g} s") from None

    def _verify_unavailable(self, uid: str) -> None:
        cached = self._parts.cache.orders
        if uid in self._parts.cache.entries._entries and cached.staleness.is_within_limit():
            raise Violation(f"{uid} was cached, but not served while the database could not be read")

    def _verify_deadline(self, what: str, began: float) -> None:
        seconds = self._clock.now - began - self._checker.suspended_seconds(began, self._clock.now)
        if seconds > self._deadline_seconds:
            raise Violation(f"the request of {what} took {seconds:.1f} s, longer than {self._deadline_seconds:g} s")

    def _verify_size(self) -> None:
        entries = len(self._parts.cache.entries)
        if entries > self._plan.max_entries:
            raise Violation(f"{entries} orders are cached, more than {self._plan.max_entries}")
