"""The newest events, in a ring buffer that all streams read."""

import re
import secrets
from datetime import UTC, datetime
from typing import Final

from service.handler.http.events.buffered_event import BufferedEvent, order_data, reset_data
from service.usecases.ports.reads import Notification

MAX_EVENTS_PER_CHUNK: Final = 500
_EVENT_ID: Final = re.compile(r"([0-9a-f]{8})-([0-9]{1,15})")


class EventBuffer:
    """Numbers events from 1. An event's id is its number after the id of this process."""

    def __init__(self, size: int) -> None:
        self._events = [BufferedEvent("", "", "")] * size
        self.process_id = secrets.token_hex(4)
        self.newest = 0
        """Number of the newest event."""

    def add(self, notification: Notification) -> None:
        """Add an event for each order, new ones first."""
        for kind, uid, data in order_data(notification, _now()):
            self._append(kind, data, uid)

    def add_reset(self, since: datetime | None) -> None:
        self._append("reset", reset_data(_now(), since))

    def reset_to_newest(self) -> bytes:
        """Return a `reset` event for one stream, which continues after the newest event and skips those before."""
        return BufferedEvent(self._event_id(self.newest), "reset", reset_data(_now())).plain

    def has_all_after(self, number: int) -> bool:
        return self.newest - len(self._events) <= number <= self.newest

    def after(self, number: int) -> list[BufferedEvent]:
        """Return up to MAX_EVENTS_PER_CHUNK events after that number, or none if they have left the buffer."""
        if not self.has_all_after(number):
            return []
        last = min(self.newest, number + MAX_EVENTS_PER_CHUNK)
        return [self._events[each % len(self._events)] for each in range(number + 1, last + 1)]

    def find_number(self, event_id: str) -> int | None:
        """Return the event's number, or None if it is unknown or events after it have left the buffer."""
        match = _EVENT_ID.fullmatch(event_id)
        if not match or match[1] != self.process_id:
            return None
        number = int(match[2])
        return number if self.has_all_after(number) else None

    def _append(self, kind: str, data: str, order_uid: str = "") -> None:
        self.newest += 1
        event = BufferedEvent(self._event_id(self.newest), kind, data, order_uid)
        self._events[self.newest % len(self._events)] = event

    def _event_id(self, number: int) -> str:
        return f"{self.process_id}-{number}"


def _now() -> datetime:
    return datetime.now(UTC)
