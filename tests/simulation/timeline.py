"""What happened in a simulation, for a person to read."""

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from tests.simulation.scheduler import START_SECONDS, Task


class Moments(Protocol):
    """Implemented by Scheduler and by the API's Clock."""

    @property
    def now(self) -> float: ...

    @property
    def current(self) -> Task | None: ...


class Event(NamedTuple):
    at: float
    who: str
    what: str

    def __str__(self) -> str:
        return f"{self.at:9.3f}  {self.who:<14} {self.what}"


class Timeline:
    def __init__(self, scheduler: Moments) -> None:
        self._scheduler = scheduler
        self.events: list[Event] = []

    def add(self, what: str) -> None:
        """Record an event, with the thread that caused it."""
        task = self._scheduler.current
        who = f"{task.process.name} {task.name}" if task else "simulation"
        self.events.append(Event(self._scheduler.now - START_SECONDS, who, what))

    @property
    def digest(self) -> str:
        """Equal for equal simulations."""
        return hashlib.blake2b("\n".join(map(str, self.events)).encode(), digest_size=8).hexdigest()


class TimelineLog:
    """The log of a consumer. Implements structlog's FilteringBoundLogger as far as the consumer uses it."""

    def __init__(
        self, timeline: Timeline, pause: Callable[[], None], on_event: Callable[[str, dict[str, Any]], None]
    ) -> None:
        self._timeline = timeline
        self._pause = pause
        self._on_event = on_event

    def _add(self, event: str, **fields: Any) -> None:
        self._pause()
        self._on_event(event, fields)
        self._timeline.add(" ".join([f"log: {event}", *(f"{name}={value}" for name, value in fields.items())]))

    info = warning = error = debug = _add
