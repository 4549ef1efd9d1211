"""Reads the dead-letter topic: the dead letters that match filters, those of orders, or the one at an offset."""

from collections.abc import Iterator, Sequence
from typing import Final

from service.entities.dead_letter_record import DeadLetterRecord
from service.entities.ownership import order_of
from service.errors import CommandError
from service.handler.kafka.client.topic_reader import Offsets, TopicReader
from service.handler.kafka.dead_letters.filters import Filters, dead_letter_of
from service.pkg.shutdown_event import ShutdownEvent

_ALL: Final = Filters()


def read(topic: TopicReader, stop: ShutdownEvent, filters: Filters = _ALL) -> Iterator[DeadLetterRecord]:
    """Yield the dead letters that match, the oldest ones of each partition first. Raises CommandError on a stop."""
    starts = start_offsets(topic, filters)
    yield from filter(filters.matches, map(dead_letter_of, topic.read(starts, stop.is_set)))
    _require_all_read(stop)


def start_offsets(topic: TopicReader, filters: Filters) -> Offsets:
    """Return the offsets before which no dead letter matches."""
    return topic.offsets_at(filters.since_ms) if filters.since else topic.starts


def search(
    topic: TopicReader, uids: Sequence[str], stop: ShutdownEvent, filters: Filters = _ALL
) -> Iterator[tuple[DeadLetterRecord, str | None]]:
    """Yield the dead letters that match, each with its order if that is one of these. Raises CommandError on a stop."""
    for dead_letter in read(topic, stop, filters):
        yield dead_letter, order_of(dead_letter.key, dead_letter.value, uids)


def find_dead_letter(topic: TopicReader, partition: int, offset: int, stop: ShutdownEvent) -> DeadLetterRecord | None:
    """Return the dead letter at this offset; None if there is none, and on a stop."""
    if not topic.starts.get(partition, 0) <= offset < topic.ends.get(partition, 0):
        return None
    record = next(topic.read({partition: offset}, stop.is_set), None)
    dead_letter = record and dead_letter_of(record)
    return dead_letter if dead_letter is not None and dead_letter.offset == offset else None


def require_dead_letter(topic: TopicReader, partition: int, offset: int, stop: ShutdownEvent) -> DeadLetterRecord:
    """Return the dead letter at this offset. Raises CommandError if there is none, and on a stop."""
    if (dead_letter := find_dead_letter(topic, partition, offset, stop)) is not None:
        return dead_letter
    _require_all_read(stop)
    raise CommandError(f"{topic.name} has no dead letter at partition {partition}, offset {offset}")


def _require_all_read(stop: ShutdownEvent) -> None:
    """Raise CommandError if a stop ended the reading: there may be more dead letters."""
    if stop.is_set():
        raise CommandError("stopped before the end of the dead letters")
