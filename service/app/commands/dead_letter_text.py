"""Dead letters for the terminal, as text or JSON, without their values, which may contain personal data."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

import msgspec

from service.entities.dead_letter_headers import Header
from service.entities.dead_letter_record import DeadLetterRecord, Excerpt, printable
from service.pkg.output import echo
from service.usecases.dead_letter_view import DeadLetterView, view

_COLUMNS: Final = "{:>9} {:>10}  {:<12} {:<32} {:<25} {:>7}  {}"
_HEADINGS: Final = _COLUMNS.format("PARTITION", "OFFSET", "REASON", "ORIGINAL", "FAILED AT", "REPLAYS", "{}")
_KEY_AND_DETAIL: Final = "{:<20}  {}"
_ORDER_HEADING: Final = "ORDER"
_KEY_WIDTH: Final = 64
_DETAIL_WIDTH: Final = 80


def print_table(dead_letters: Iterator[Excerpt], limit: int) -> None:
    """Print the first ones (0: all), and whether there are more."""
    echo(_HEADINGS.format(_KEY_AND_DETAIL.format("KEY", "DETAIL")))
    shown, more = _print_each(dead_letters, limit, lambda each: _row_with_key(each.dead_letter))
    echo(f"{shown:,} shown{more}")


def print_json_lines(dead_letters: Iterator[Excerpt], limit: int) -> None:
    """Print the first ones (0: all) on a line each. Whether there are more goes to standard error."""
    shown, more = _print_each(dead_letters, limit, lambda each: json_line(view(each)))
    if more:
        sys.stderr.write(f"{shown:,} shown{more}\n")


def json_line(dead_letter: DeadLetterView, *, with_value: bool = False) -> str:
    """Return the document of the API in one line, without `value` by default."""
    members = msgspec.to_builtins(dead_letter)
    shown = {name: member for name, member in members.items() if with_value or name != "value"}
    return msgspec.json.encode(shown).decode()


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
            yield f"{_ORDER_HEADING:<{width}}  {_HEADINGS.format('DETAIL')}"
        found += 1
        yield f"{uid:<{width}}  {_row(dead_letter, _detail(dead_letter))}"
    yield f"{found:,} of {searched_count:,} dead letters in {topic} are theirs"


def description(dead_letter: DeadLetterRecord) -> Iterator[str]:
    """Yield key, size and headers."""
    yield f"key: {printable(dead_letter.key)}"
    stub = ", a stub: the original was too large" if dead_letter.is_stub else ""
    yield f"size: {len(dead_letter.value or b'')} bytes{stub}"
    for name, value in dead_letter.headers:
        yield f"{printable(name)}: {printable(value)}"


def print_value(value: bytes) -> None:
    """Write the value byte for byte; on a terminal as text, with what could control the terminal replaced."""
    if sys.stdout.isatty():
        for line in value.split(b"\n"):
            echo(printable(line.expandtabs()))
    else:
        sys.stdout.buffer.write(value)
        sys.stdout.buffer.flush()


def _print_each(dead_letters: Iterator[Excerpt], limit: int, line: Callable[[Excerpt], str]) -> tuple[int, str]:
    """Return the number of printed ones, and a remark if there are more."""
    shown = 0
    for shown, dead_letter in enumerate(islice(dead_letters, limit or None), 1):  # noqa: B007 - used after the loop
        echo(line(dead_letter))
    return shown, ", there are more: --max shows them" if next(dead_letters, None) is not None else ""


def _row_with_key(dead_letter: DeadLetterRecord) -> str:
    key = printable(dead_letter.key)[:_KEY_WIDTH] or "-"
    return _row(dead_letter, _KEY_AND_DETAIL.format(key, _detail(dead_letter)))


def _row(dead_letter: DeadLetterRecord, last_column: str) -> str:
    origin = dead_letter.origin
    original = f"{printable(origin.topic)}/{origin.partition}/{origin.offset}" if origin else "?"
    numbers = dead_letter.partition, dead_letter.offset
    failed_at = dead_letter.text(Header.FAILED_AT)
    return _COLUMNS.format(*numbers, dead_letter.reason, original, failed_at, dead_letter.replays, last_column).rstrip()


def _detail(dead_letter: DeadLetterRecord) -> str:
    return dead_letter.text(Header.DETAIL)[:_DETAIL_WIDTH]
