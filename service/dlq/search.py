"""Finds the dead letters of some orders, whatever is wrong with these."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from msgspec import DecodeError, Struct
from msgspec.json import decode

from service.dlq.letters import Filters
from service.dlq.listing import HEADINGS, require_end, row
from service.dlq.reading import Topic
from service.entities.letter import Letter
from service.entities.order import MAX_UID, UID_CHARACTER
from service.pkg.stop import Stop

_ORDER: Final = "ORDER"
_ALL: Final = Filters()
_QUOTED: Final = re.compile(rf'"({UID_CHARACTER}{{1,{MAX_UID}}})(?=")'.encode())
"""What may be an id, in quotes; the one that closes it may open the next."""


class _Document(Struct):
    order_uid: Any = None


def table(topic: Topic, uids: Sequence[str], stop: Stop, filters: Filters = _ALL) -> Iterator[str]:
    """Look at all letters that are meant and yield the lines of a table, never a value.

    Raises CommandRefused on a stop.
    """
    width = max(map(len, [_ORDER, *uids]))
    looked_at = found = 0
    starts = topic.at(filters.since_ms) if filters.since else topic.starts
    for letter in filter(filters.matches, topic.read(starts, stop)):
        looked_at += 1
        if (uid := whose(letter, uids)) is not None:
            if not found:
                yield f"{_ORDER:<{width}}  {HEADINGS}"
            found += 1
            yield f"{uid:<{width}}  {row(letter)}"
    require_end(stop)
    yield f"{found:,} of {looked_at:,} dead letters in {topic.name} are theirs"


def whose(letter: Letter, uids: Sequence[str]) -> str | None:
    """Return the first of these orders that a letter is of: by its key, or by its document's `order_uid`.

    Where no such field can be read, an id in quotes anywhere in the value tells.
    """
    names = {letter.key, *_names(letter.value or b"")}
    return next((uid for uid in uids if uid.encode() in names), None)


def _names(value: bytes) -> Iterable[bytes]:
    named = _order_uid(value)
    return _QUOTED.findall(value) if named is None else [named.encode()]


def _order_uid(value: bytes) -> str | None:
    try:
        named = decode(value, type=_Document).order_uid
    except (DecodeError, RecursionError, UnicodeDecodeError):
        return None
    return named if isinstance(named, str) else None
