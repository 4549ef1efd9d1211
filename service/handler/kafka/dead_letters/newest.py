"""Reads the dead-letter topic backwards: dead letters that match filters, the newest of all partitions first."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from time import monotonic
from typing import Final, Generic, NamedTuple, TypeVar

from service.entities.dead_letter_record import DeadLetterRecord
from service.entities.record import Record
from service.handler.kafka.client.topic_reader import Offsets, TopicReader
from service.handler.kafka.dead_letters.reading import start_offsets
from service.pkg.timestamps import to_milliseconds
from service.usecases.dead_letter_filters import matches
from service.usecases.ports.dead_letters import DeadLetterFilters

T = TypeVar("T")

MAX_CLOCK_SKEW_MS: Final = 2 * 3_600_000
"""Timestamps are those of the producers' clocks: offsets and timestamps may differ in order by this much.

Brokers reject timestamps more than an hour ahead (`message.timestamp.after.max.ms`).
"""
MAX_READ_BYTES: Final = 32 * 2**20
"""About this much is read at once, so that a chunk of large dead letters ends in time."""


class ScanLimits(NamedTuple):
    """How much is read before a scan ends early. Checked between chunks, so a scan may read one chunk more."""

    chunk: int
    """Maximum number of dead letters that are read at once."""
    dead_letters: float = inf
    seconds: float = inf


class _Match(NamedTuple, Generic[T]):
    offset: int
    timestamp_ms: int
    value: T


@dataclass(slots=True)
class _OffsetWindow(Generic[T]):
    """A partition that was read from its offset `low` on. `matches` are the dead letters that remain, oldest first."""

    first: int
    """Where the scan of the partition ends."""
    low: int
    matches: list[_Match[T]] = field(default_factory=list)

    @property
    def needs_reading(self) -> bool:
        return not self.matches and self.low > self.first

    @property
    def before(self) -> int:
        """The offset before which a later scan continues."""
        return self.matches[-1].offset + 1 if self.matches else self.low


class NewestFirst(Generic[T]):
    """Iterates over the dead letters that match, newest first, each converted by `keep`. Raises KafkaRequestFailed.

    `before` limits the offsets; partitions without an entry are not read. The first chunk has `first_chunk` dead
    letters of each partition. Ends early when the limits are reached, or `should_stop` returns True.
    """

    def __init__(
        self,
        topic: TopicReader,
        filters: DeadLetterFilters,
        keep: Callable[[DeadLetterRecord], T],
        limits: ScanLimits,
        *,
        first_chunk: int,
        before: Offsets | None = None,
        should_stop: Callable[[], bool],
    ) -> None:
        self._topic = topic
        self._filters = filters
        self._keep = keep
        self._limits = limits
        self._first_chunk = first_chunk
        self._should_stop = should_stop
        self._windows: Mapping[int, _OffsetWindow[T]] = _windows(
            topic, filters, topic.ends if before is None else before
        )
        self._has_read = False
        self._read_count = 0
        self._read_bytes = 0
        self._deadline = monotonic() + limits.seconds

    def __iter__(self) -> Iterator[T]:
        while not self._should_stop():
            # First, because the dead letters that were not read may be newer than the matches of other partitions.
            if unread := [partition for partition, window in self._windows.items() if window.needs_reading]:
                if self._is_at_limit():
                    return
                self._read(unread)
            elif filled := [window for window in self._windows.values() if window.matches]:
                yield max(filled, key=lambda window: window.matches[-1].timestamp_ms).matches.pop().value
            else:
                return

    @property
    def before(self) -> Offsets | None:
        """By partition, the offset before which to continue. None at the end."""
        left = {partition: window for partition, window in self._windows.items() if window.before > window.first}
        return {partition: window.before for partition, window in left.items()} or None

    def _is_at_limit(self) -> bool:
        return self._read_count >= self._limits.dead_letters or monotonic() >= self._deadline

    def _read(self, partitions: Sequence[int]) -> None:
        """Read the next chunk of these partitions."""
        size = self._chunk_size(len(partitions))
        highs = {partition: self._windows[partition].low for partition in partitions}
        lows = {partition: max(self._windows[partition].first, high - size) for partition, high in highs.items()}
        for record in self._topic.read(lows, self._should_stop, highs):
            self._add(record)
        self._has_read = True
        for partition, low in lows.items():
            self._windows[partition].low = low

    def _add(self, record: Record) -> None:
        self._read_count += 1
        self._read_bytes += record.size
        dead_letter = DeadLetterRecord.of(record)
        if matches(self._filters, dead_letter):
            match = _Match(record.offset, record.timestamp_ms, self._keep(dead_letter))
            self._windows[record.partition].matches.append(match)

    def _chunk_size(self, partitions: int) -> int:
        """Return how many dead letters of each of these partitions to read."""
        if not self._has_read:
            return self._first_chunk
        average = max(1, self._read_bytes // max(1, self._read_count))
        return max(1, min(self._limits.chunk, MAX_READ_BYTES // average) // partitions)


def _windows(topic: TopicReader, filters: DeadLetterFilters, before: Offsets) -> Mapping[int, _OffsetWindow[T]]:
    """Return an unread window for each partition."""
    firsts, ends = start_offsets(topic, filters.since), _end_offsets(topic, filters)
    highs = {partition: min(before[partition], end) for partition, end in ends.items() if partition in before}
    return {
        partition: _OffsetWindow(firsts[partition], max(firsts[partition], high)) for partition, high in highs.items()
    }


def _end_offsets(topic: TopicReader, filters: DeadLetterFilters) -> Offsets:
    """Return, by partition, an offset after the last dead letter that can match."""
    if filters.until is None:
        return topic.ends
    return topic.offsets_at(to_milliseconds(filters.until) + MAX_CLOCK_SKEW_MS)
