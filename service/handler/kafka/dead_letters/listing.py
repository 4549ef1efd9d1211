"""`orders dlq list` and `orders dlq show`: the content of the dead-letter topic."""

from collections.abc import Iterator
from itertools import islice
from typing import Final

from service.entities.dead_letter import Header
from service.entities.dead_letter_record import DeadLetterRecord, printable
from service.errors import CommandError
from service.handler.kafka.client.topic_reader import TopicReader
from service.handler.kafka.dead_letters.filters import Filters, dead_letter_of
from service.pkg.shutdown_event import ShutdownEvent

_COLUMNS: Final = "{:>9} {:>10}  {:<12} {:<32} {:<25} {:>7}  {}"
HEADINGS: Final = _COLUMNS.format("PARTITION", "OFFSET", "REASON", "ORIGINAL", "FAILED AT", "REPLAYS", "DETAIL")
_DETAIL_WIDTH: Final = 80


def table(topic: TopicReader, filters: Filters, limit: int, stop: ShutdownEvent) -> Iterator[str]:
    """Yield the lines of a table without values, the oldest dead letters of each partition first.

    Raises CommandError on a stop.
    """
    found = filter(filters.matches, map(dead_letter_of, topic.read(topic.offsets_at(filters.since_ms), stop.is_set)))
    yield HEADINGS
    shown = 0
    for dead_letter in islice(found, limit):
        shown += 1
        yield row(dead_letter)
    more = next(found, None) is not None
    require_all_read(stop)
    yield f"{shown} shown{', there are more: --max shows them' if more else ''}"


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
    require_all_read(stop)
    raise CommandError(f"{topic.name} has no dead letter at partition {partition}, offset {offset}")


def require_all_read(stop: ShutdownEvent) -> None:
    """Raise CommandError if a stop ended the reading: there may be more dead letters."""
    if stop.is_set():
        raise CommandError("stopped before the end of the dead letters")


def description(dead_letter: DeadLetterRecord) -> Iterator[str]:
    """Yield key, size and headers, but not the value, which may contain personal data."""
    yield f"key: {printable(dead_letter.key)}"
    stub = ", a stub: the original was too large" if dead_letter.is_stub else ""
    yield f"size: {len(dead_letter.value or b'')} bytes{stub}"
    for name, value in dead_letter.headers:
        yield f"{printable(name)}: {printable(value)}"


def row(dead_letter: DeadLetterRecord) -> str:
    """Return the line of a dead letter under HEADINGS, without its key and value."""
    origin = dead_letter.origin
    original = f"{printable(origin.topic)}/{origin.partition}/{origin.offset}" if origin else "?"
    failed_at, detail = dead_letter.text(Header.FAILED_AT), dead_letter.text(Header.DETAIL)[:_DETAIL_WIDTH]
    numbers = dead_letter.partition, dead_letter.offset
    return _COLUMNS.format(*numbers, dead_letter.reason, original, failed_at, dead_letter.replays, detail).rstrip()
