"""`orders dlq list --order` and `orders erase`: the dead letters of some orders."""

from collections.abc import Iterator, Sequence
from typing import Final

from service.handler.kafka.client.ownership import order_of
from service.handler.kafka.client.topic_reader import TopicReader
from service.handler.kafka.dead_letters.filters import Filters, dead_letter_of
from service.handler.kafka.dead_letters.listing import HEADINGS, require_all_read, row
from service.pkg.shutdown_event import ShutdownEvent

_ORDER: Final = "ORDER"
_ALL: Final = Filters()


def table(topic: TopicReader, uids: Sequence[str], stop: ShutdownEvent, filters: Filters = _ALL) -> Iterator[str]:
    """Search the dead letters that match, and yield the lines of a table without values.

    Raises CommandError on a stop.
    """
    width = max(map(len, [_ORDER, *uids]))
    searched = found = 0
    starts = topic.offsets_at(filters.since_ms) if filters.since else topic.starts
    for dead_letter in filter(filters.matches, map(dead_letter_of, topic.read(starts, stop.is_set))):
        searched += 1
        if (uid := order_of(dead_letter.key, dead_letter.value, uids)) is not None:
            if not found:
                yield f"{_ORDER:<{width}}  {HEADINGS}"
            found += 1
            yield f"{uid:<{width}}  {row(dead_letter)}"
    require_all_read(stop)
    yield f"{found:,} of {searched:,} dead letters in {topic.name} are theirs"
