"""A command that an operator runs beside the members, and repeats in a new process until it succeeds."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from functools import partial
from typing import Any, Final

from service.errors import OrdersError
from tests.simulation.broker import Broker
from tests.simulation.client import SimulatedConsumer
from tests.simulation.plan import Stage
from tests.simulation.scheduler import Process
from tests.simulation.threads import SimulatedShutdownEvent

_ANY_POLL_INTERVAL: Final = {"max.poll.interval.ms": 300_000}
REPEAT_SECONDS: Final = 3.0
"""How long the operator waits at most before the command is repeated."""


class State(Enum):
    PLANNED = auto()
    RUNNING = auto()
    FAILED = auto()
    """It was killed, or ended with an error, and is repeated soon."""
    DONE = auto()


class Attempt:
    """One process of an operation. `stage` is what it is doing."""

    def __init__(self, process: Process, stop: SimulatedShutdownEvent) -> None:
        self.process = process
        self.stop = stop
        self.stage: Stage | None = None

    @contextmanager
    def within(self, stage: Stage) -> Iterator[None]:
        before, self.stage = self.stage, stage
        try:
            yield
        finally:
            self.stage = before


class Operation:
    """`work` raises OrdersError if the command fails, also if its attempt is asked to stop."""

    def __init__(self, name: str, broker: Broker, work: Callable[[Attempt], None]) -> None:
        self._name = name
        self._broker = broker
        self._scheduler = broker.scheduler
        self._work = work
        self._attempts: list[Attempt] = []
        self.state = State.PLANNED

    @property
    def stage(self) -> Stage | None:
        return self._attempts[-1].stage if self.state is State.RUNNING else None

    def start(self) -> None:
        self.state = State.RUNNING
        process = Process(f"{self._name} #{len(self._attempts) + 1}")
        attempt = Attempt(process, SimulatedShutdownEvent(self._scheduler))
        self._attempts.append(attempt)
        self._broker.timeline.add(f"{process.name} starts")
        self._scheduler.spawn("main", process, partial(self._run, attempt))

    def stop(self) -> None:
        """Send it SIGTERM."""
        self._attempts[-1].stop.set()

    def kill(self) -> None:
        self._scheduler.kill(self._attempts[-1].process)
        self._repeat("killed")

    def _run(self, attempt: Attempt) -> None:
        try:
            self._work(attempt)
        except OrdersError as error:
            self._repeat(repr(error))
        else:
            self._broker.timeline.add("done")
            self.state = State.DONE

    def _repeat(self, problem: str) -> None:
        self._broker.timeline.add(f"{self._attempts[-1].process.name} failed: {problem}")
        self.state = State.FAILED
        self._scheduler.call_later(self._broker.random.random() * REPEAT_SECONDS, self.start)


def connected_consumer(broker: Broker, attempt: Attempt, given: dict[str, Any]) -> Any:
    """Return a consumer with these properties, which joins no group."""
    return SimulatedConsumer(broker, attempt.process, given | _ANY_POLL_INTERVAL)
