"""Dead letters as lines for the terminal, without their values, which may contain personal data."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from service.entities.dead_letter_headers import Header
from service.entities.dead_letter_record import DeadLetterRecord, printable

_COLUMNS: Final = "{:>9} {:>10}  {:<12} {:<32} {:<25} {:>7}  {}"
_HEADINGS: Final = _COLUMNS.format("PARTITION", "OFFSET", "REASON", "ORIGINAL", "FAILED AT", "REPLAYS", "DETAIL")
_ORDER_HEADING: Final = "ORDER"
_DETAIL_WIDTH: Final = 80


def table(dead_letters: Iterator[DeadLetterRecord], limit: int) -> Iterator[str]:
    """Yield a table of the first dead letters, and whether there are more."""
    yield _HEADINGS
    shown = 0
    for shown, dead_letter in enumerate(islice(dead_letters, limit), 1):  # noqa: B007 - used after the loop
        yield _row(dead_letter)
    more = next(dead_letters, None) is not None
    yield f"{shown} shown{', there are more: --max shows them' if more else ''}"


def table_by_order(
    searched: Iterable[tuple[DeadLetterRecord, str | None]], uids: Sequence[str], topic: str
) -> Iterator[str]:
    """Yield a table of the dead letters that belong to one of these orders, and their number."""
    width = max(map(len, [_ORDER_HEADING, *uids]))
    searched_count = found = 0
    for dead_letter, uid in searched:
        searched_count += 1
        if uid is None:
            continue
        if not found:
            yield f"{_ORDER_HEADING:<{width}}  {_HEADINGS}"
        found += 1
        yield f"{uid:<{width}}  {_row(dead_letter)}"
    yield f"{found:,} of {searched_count:,} dead letters in {topic} are theirs"


def description(dead_letter: DeadLetterRecord) -> Iterator[str]:
    """Yield key, size and headers."""
    yield f"key: {printable(dead_letter.key)}"
    stub = ", a stub: the original was too large" if dead_letter.is_stub else ""
    yield f"size: {len(dead_letter.value or b'')} bytes{stub}"
    for name, value in dead_letter.headers:
        yield f"{printable(name)}: {printable(value)}"


def _row(dead_letter: DeadLetterRecord) -> str:
    origin = dead_letter.origin
    original = f"{printable(origin.topic)}/{origin.partition}/{origin.offset}" if origin else "?"
    failed_at, detail = dead_letter.text(Header.FAILED_AT), dead_letter.text(Header.DETAIL)[:_DETAIL_WIDTH]
    numbers = dead_letter.partition, dead_letter.offset
    return _COLUMNS.format(*numbers, dead_letter.reason, original, failed_at, dead_letter.replays, detail).rstrip()
