"""Reads the dead-letter topic: the dead letters of orders, or the one at an offset."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from service.entities.dead_letter_record import DeadLetterRecord
from service.errors import CommandFailed, Stopped
from service.handler.kafka.client.topic_reader import Offsets, TopicReader
from service.pkg.shutdown_event import ShutdownEvent
from service.pkg.timestamps import to_milliseconds
from service.usecases.ownership import order_of


def start_offsets(topic: TopicReader, since: datetime | None) -> Offsets:
    """Return the offsets of the first dead letters since this time, or of all."""
    return topic.offsets_at(to_milliseconds(since)) if since else topic.starts


def search(
    topic: TopicReader, uids: Sequence[str], stop: ShutdownEvent
) -> Iterator[tuple[DeadLetterRecord, str | None]]:
    """Yield all dead letters, oldest first, each with its uid if that is one of the given uids. Raises Stopped."""
    for dead_letter in map(DeadLetterRecord.of, topic.read(topic.starts, stop.is_set)):
        yield dead_letter, order_of(dead_letter.key, dead_letter.value, uids)
    require_all_read(stop)


def record_at(
    topic: TopicReader, partition: int, offset: int, should_stop: Callable[[], bool]
) -> DeadLetterRecord | None:
    """Return the dead letter at this offset; None if there is none, and on a stop."""
    if not topic.starts.get(partition, 0) <= offset < topic.ends.get(partition, 0):
        return None
    record = next(topic.read({partition: offset}, should_stop, {partition: offset + 1}), None)
    return record and DeadLetterRecord.of(record)


def require_dead_letter(topic: TopicReader, partition: int, offset: int, stop: ShutdownEvent) -> DeadLetterRecord:
    """Return the dead letter at this offset. Raises CommandFailed if there is none, and Stopped."""
    if (dead_letter := record_at(topic, partition, offset, stop.is_set)) is not None:
        return dead_letter
    require_all_read(stop)
    raise CommandFailed(f"{topic.name} has no dead letter at partition {partition}, offset {offset}")


def require_all_read(stop: ShutdownEvent) -> None:
    """Raise Stopped if a stop ended the reading: there may be more dead letters."""
    if stop.is_set():
        raise Stopped("stopped before the end of the dead letters")
