"""An asyncio event loop on a virtual clock: time passes only while nothing is ready.

psycopg and libpq are real, and connect to a simulated server in the same process over Unix sockets, which deliver at
once: the delays are virtual. The seed decides in which order the loop sees the sockets that are ready at one moment.
Callbacks of the loop run in the order in which they were scheduled, as on a real loop.
"""

import asyncio
import selectors
from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any, Final

from tests.simulation.api.clock import Clock
from tests.simulation.scheduler import Deadlock

ITERATION_SECONDS: Final = 0.000_02
"""How long an iteration of the loop takes at most."""
MAX_ITERATIONS: Final = 1_000_000


async def delay(seconds: float) -> None:
    """Let virtual time pass; as asyncio.sleep, which tests may not use."""
    if seconds <= 0:
        await asyncio.sleep(0)
        return
    loop = asyncio.get_running_loop()
    passed = loop.create_future()
    timer = loop.call_later(seconds, _end, passed)
    try:
        await passed
    finally:
        timer.cancel()


def _end(passed: "asyncio.Future[None]") -> None:
    if not passed.done():
        passed.set_result(None)


class Network:
    """The server's ends of the sockets. A handler is called when its socket can be read, in the order of arrival."""

    def __init__(self) -> None:
        self._selector = selectors.EpollSelector()

    def add(self, socket: Any, on_readable: Callable[[], None]) -> None:
        self._selector.register(socket, selectors.EVENT_READ, on_readable)

    def remove(self, socket: Any) -> None:
        self._selector.unregister(socket)

    def receive(self) -> None:
        while ready := self._selector.select(0):
            for key, _ in ready:
                key.data()

    def close(self) -> None:
        self._selector.close()


class VirtualSelector(selectors.EpollSelector):
    """Returns the ready sockets of the client in an order that the seed decides."""

    def __init__(self, clock: Clock, network: Network, random: Random) -> None:
        super().__init__()
        self._clock = clock
        self._network = network
        self._random = random
        self._numbers = count()
        self._number_of: dict[int, int] = {}
        self._iterations = 0
        self.suspended_until = 0.0

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = super().register(fileobj, events, data)
        self._number_of[key.fd] = next(self._numbers)
        return key

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._iterations += 1
        if self._iterations > MAX_ITERATIONS:
            raise Deadlock(f"no end after {MAX_ITERATIONS:,} iterations")
        clock = self._clock
        self._network.receive()
        clock.advance(max(clock.now + self._random.random() * ITERATION_SECONDS, self.suspended_until))
        deadline = None if timeout is None else clock.now + timeout
        while True:
            if ready := super().select(0):
                return self._shuffled(ready)
            when = clock.next_call
            if deadline is not None and (when is None or when > deadline):
                clock.advance(deadline)
                return []
            if when is None:
                raise Deadlock("nothing can happen anymore")
            clock.advance(max(when, self.suspended_until))
            self._network.receive()

    def _shuffled(self, ready: list[tuple[selectors.SelectorKey, int]]) -> list[tuple[selectors.SelectorKey, int]]:
        if len(ready) > 1:
            ready.sort(key=lambda each: self._number_of[each[0].fd])  # the order of a set of sockets is the kernel's
            self._random.shuffle(ready)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self, clock: Clock, network: Network, random: Random) -> None:
        self._clock = clock
        self._virtual = VirtualSelector(clock, network, random)
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._clock.now

    def suspend(self, seconds: float) -> None:
        """Suspend the process from its next iteration on."""
        self._virtual.suspended_until = max(self._virtual.suspended_until, self._clock.now + seconds)
