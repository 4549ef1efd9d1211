"""The log of a partition: records, transactions with their markers, and retention."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cached_property
from typing import NamedTuple

from service.entities.dead_letter_headers import Headers, read_origin
from service.entities.version import RecordCoordinates


class Payload(NamedTuple):
    key: bytes | None
    value: bytes | None
    headers: Headers | None
    timestamp_ms: int

    @property
    def bytes(self) -> int:
        return len(self.key or b"") + len(self.value or b"")


class State(Enum):
    OPEN = auto()
    """Part of a transaction that has not ended."""
    VISIBLE = auto()
    INVISIBLE = auto()
    """A marker, or part of an aborted transaction."""


@dataclass
class Entry:
    offset: int
    payload: Payload
    state: State

    @cached_property
    def origin(self) -> RecordCoordinates | None:
        """Where a dead letter, or what was replayed, comes from; None if this is neither."""
        return read_origin(self.payload.headers) if self.payload.headers else None


class Fetched(NamedTuple):
    entries: Sequence[Entry]
    next: int
    """The offset after the last one that was read, visible or not."""


_MARKER = Payload(None, None, None, -1)


@dataclass(slots=True)
class PartitionLog:
    start: int = 0
    entries: list[Entry] = field(default_factory=list)
    _open: dict[str, list[Entry]] = field(default_factory=dict)
    """The records of open transactions."""

    @property
    def end(self) -> int:
        return self.start + len(self.entries)

    @property
    def last_stable(self) -> int:
        """The offset of the first record of an open transaction, or the end."""
        return min(entries[0].offset for entries in self._open.values()) if self._open else self.end

    def append(self, payload: Payload, transaction: str | None = None) -> Entry:
        entry = Entry(self.end, payload, State.OPEN if transaction else State.VISIBLE)
        self.entries.append(entry)
        if transaction:
            self._open.setdefault(transaction, []).append(entry)
        return entry

    def end_transaction(self, transaction: str, *, commit: bool) -> None:
        """Append the marker of a transaction that has records here."""
        ended = self._open.pop(transaction, [])
        for entry in ended:
            entry.state = State.VISIBLE if commit else State.INVISIBLE
        if ended:
            self.entries.append(Entry(self.end, _MARKER, State.INVISIBLE))

    def fetch(self, position: int, count: int) -> Fetched:
        """Return at most `count` visible records before the last stable offset."""
        stable, found = self.last_stable, list[Entry]()
        while position < stable and len(found) < count:
            entry = self.entries[position - self.start]
            if entry.state is State.VISIBLE:
                found.append(entry)
            position += 1
        return Fetched(found, position)

    def visible(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.state is State.VISIBLE]

    def delete_before(self, offset: int) -> None:
        """Apply retention, at most up to the last stable offset."""
        offset = min(offset, self.last_stable)
        if offset > self.start:
            del self.entries[: offset - self.start]
            self.start = offset
