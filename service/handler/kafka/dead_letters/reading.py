"""Reads the dead-letter topic: the dead letters that match filters, those of orders, or the one at an offset."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from service.entities.dead_letter_record import DeadLetterRecord
from service.entities.ownership import order_of
from service.errors import DeadLetterNotFound, Stopped
from service.handler.kafka.client.topic_reader import Offsets, TopicReader
from service.pkg.shutdown_event import ShutdownEvent
from service.pkg.timestamps import to_milliseconds
from service.usecases.dead_letter_filters import DeadLetterFilters

_ALL: Final = DeadLetterFilters()


def read(topic: TopicReader, stop: ShutdownEvent, filters: DeadLetterFilters = _ALL) -> Iterator[DeadLetterRecord]:
    """Yield the dead letters that match, the oldest ones of each partition first. Raises Stopped."""
    starts = start_offsets(topic, filters.since)
    yield from filter(filters.matches, map(DeadLetterRecord.of, topic.read(starts, stop.is_set)))
    _require_all_read(stop)


def start_offsets(topic: TopicReader, since: datetime | None) -> Offsets:
    """Return the offsets of the first dead letters since this time, or of all."""
    return topic.offsets_at(to_milliseconds(since)) if since else topic.starts


def search(
    topic: TopicReader, uids: Sequence[str], stop: ShutdownEvent, filters: DeadLetterFilters = _ALL
) -> Iterator[tuple[DeadLetterRecord, str | None]]:
    """Yield the dead letters that match, each with its order if that is one of these. Raises Stopped."""
    for dead_letter in read(topic, stop, filters):
        yield dead_letter, order_of(dead_letter.key, dead_letter.value, uids)


def find_dead_letter(topic: TopicReader, partition: int, offset: int, stop: ShutdownEvent) -> DeadLetterRecord | None:
    """Return the dead letter at this offset; None if there is none, and on a stop."""
    if not topic.starts.get(partition, 0) <= offset < topic.ends.get(partition, 0):
        return None
    record = next(topic.read({partition: offset}, stop.is_set), None)
    dead_letter = record and DeadLetterRecord.of(record)
    return dead_letter if dead_letter is not None and dead_letter.offset == offset else None


def require_dead_letter(topic: TopicReader, partition: int, offset: int, stop: ShutdownEvent) -> DeadLetterRecord:
    """Return the dead letter at this offset. Raises DeadLetterNotFound, Stopped."""
    if (dead_letter := find_dead_letter(topic, partition, offset, stop)) is not None:
        return dead_letter
    _require_all_read(stop)
    raise DeadLetterNotFound(topic.name, partition, offset)


def _require_all_read(stop: ShutdownEvent) -> None:
    """Raise Stopped if a stop ended the reading: there may be more dead letters."""
    if stop.is_set():
        raise Stopped("stopped before the end of the dead letters")
