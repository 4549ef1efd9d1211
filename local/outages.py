"""The demo's messages about unreachable servers: one when a server is lost, and one when it is back."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple


class _Messages(NamedTuple):
    lost: str
    restored: str
    impact: str


_MESSAGES: Final = {
    "postgresql": _Messages(
        "PostgreSQL unreachable",
        "PostgreSQL reachable again",
        "cached orders are still served; new orders wait in Kafka",
    ),
    "notifications": _Messages(
        "no notifications from PostgreSQL",
        "notifications from PostgreSQL resumed",
        "orders are still stored and served; the live feed is paused",
    ),
    "kafka": _Messages(
        "Kafka unreachable", "Kafka reachable again", "stored orders are still served; no new ones arrive"
    ),
    "api": _Messages("API not responding", "API responding again", "the consumer still stores orders"),
    "consumer": _Messages("consumer not responding", "consumer responding again", "new orders wait in Kafka"),
}


def utc_now() -> datetime:
    return datetime.now(UTC)


class Outages:
    """The names in `/stats` of the unreachable servers, and the times at which they became unreachable."""

    def __init__(self, now: Callable[[], datetime] = utc_now) -> None:
        self._now = now
        self._since: dict[str, datetime] = {}

    def note(self, name: str, *, is_up: bool, since: datetime | None = None) -> Iterator[str]:
        """Yield a message if the state has changed. `since` is the time of the change, by default now."""
        messages = _MESSAGES[name]
        if is_up and name in self._since:
            seconds = (self._now() - self._since.pop(name)).total_seconds()
            yield f"{messages.restored} after {seconds:.0f} s"
        elif not is_up and name not in self._since:
            self._since[name] = since or self._now()
            yield f"{messages.lost} since {self._since[name].astimezone():%H:%M:%S}: {messages.impact}"

    def note_dependencies(self, dependencies: Mapping[str, Any]) -> Iterator[str]:
        """Note all dependencies in `/stats`; without PostgreSQL, missing notifications are not reported too."""
        states = {name: state for name, state in dependencies.items() if state and name in _MESSAGES}
        if not states.get("postgresql", {"is_up": True})["is_up"]:
            states.pop("notifications", None)
        for name, state in states.items():
            yield from self.note(name, is_up=state["is_up"], since=datetime.fromisoformat(state["since"]))

    @property
    def mark(self) -> str:
        """The suffix of a line of statistics while a server is unreachable."""
        return "".join(f" | {_MESSAGES[name].lost}" for name in self._since)
