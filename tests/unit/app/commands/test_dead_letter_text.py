"""Dead letters in the terminal: their coordinates and headers, but not their values."""

import json
import sys
from base64 import b64decode
from collections.abc import Iterable, Iterator

import pytest

from service.app.commands.dead_letter_text import (
    description,
    json_line,
    print_json_lines,
    print_table,
    print_value,
    table_by_order,
)
from service.entities.dead_letter_headers import Header
from service.entities.dead_letter_record import DeadLetterRecord, Excerpt
from service.usecases.dead_letter_view import whole_view

HEADINGS = ["PARTITION", "OFFSET", "REASON", "ORIGINAL", "FAILED", "AT", "REPLAYS", "DETAIL"]


def dead_letter(offset: int, **changes: bytes) -> DeadLetterRecord:
    headers: dict[str, bytes] = {
        Header.REASON: b"invalid", Header.TOPIC: b"orders", Header.PARTITION: b"2", Header.OFFSET: b"101",
        Header.TIMESTAMP: b"1700000000000", Header.FAILED_AT: b"2026-11-23T10:00:00.000Z", Header.DETAIL: b"sm_id",
        Header.REPLAYS: b"1",
    } | changes  # fmt: skip
    return DeadLetterRecord(0, offset, 1_000, b"key", b"value", list(headers.items()))


def excerpts(dead_letters: Iterable[DeadLetterRecord]) -> Iterator[Excerpt]:
    return (each.excerpt(100) for each in dead_letters)


def test_a_table_has_a_row_for_each_dead_letter_and_their_number(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(excerpts([dead_letter(7), dead_letter(6)._replace(key=None), dead_letter(5)._replace(key=b"\x1b")]), 10)
    headings, *rows, number = capsys.readouterr().out.splitlines()
    assert headings.split() == [*HEADINGS[:-1], "KEY", "DETAIL"]
    assert rows[0].split() == ["0", "7", "invalid", "orders/2/101", "2026-11-23T10:00:00.000Z", "1", "key", "sm_id"]
    assert [row.split()[6] for row in rows[1:]] == ["-", "\N{REPLACEMENT CHARACTER}"]
    assert number == "3 shown"


@pytest.mark.parametrize(
    ("existing", "limit", "last"),
    [(4, 3, "3 shown, there are more: --max shows them"), (3, 3, "3 shown"), (0, 3, "0 shown"), (4, 0, "4 shown")],
)
def test_a_table_ends_at_its_limit_and_reports_that_there_are_more(
    existing: int, limit: int, last: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_table(excerpts(map(dead_letter, range(existing))), limit)
    rows = capsys.readouterr().out.splitlines()
    assert [row.split()[1] for row in rows[1:-1]] == [str(offset) for offset in range(min(existing, limit or existing))]
    assert rows[-1] == last


def test_json_lines_are_the_documents_of_the_api_without_values(capsys: pytest.CaptureFixture[str]) -> None:
    print_json_lines(excerpts(map(dead_letter, range(4))), 3)
    output = capsys.readouterr()
    documents = [json.loads(line) for line in output.out.splitlines()]
    assert [document["offset"] for document in documents] == [0, 1, 2]
    assert (b64decode(documents[0]["key"]), documents[0]["size"], documents[0]["replays"]) == (b"key", 5, 1)
    assert "value" not in documents[0]
    assert output.err == "3 shown, there are more: --max shows them\n"
    print_json_lines(excerpts(map(dead_letter, range(3))), 3)
    assert capsys.readouterr().err == ""


def test_a_json_line_has_the_value_only_if_asked_for() -> None:
    document = json.loads(json_line(whole_view(dead_letter(1)), with_value=True))
    assert b64decode(document["value"]) == b"value"
    assert document["headers"][0] == {"name": "dlq-reason", "value": "invalid"}
    assert "value" not in json.loads(json_line(whole_view(dead_letter(1))))


def test_a_table_by_order_has_only_the_dead_letters_of_the_orders() -> None:
    searched = [(dead_letter(1), "a-long-uid"), (dead_letter(2), None), (dead_letter(3), "b")]
    headings, *rows, number = table_by_order(searched, ["a-long-uid", "b"], "orders.dlq")
    assert headings.split() == ["ORDER", *HEADINGS]
    assert [row.split()[:3] for row in rows] == [["a-long-uid", "0", "1"], ["b", "0", "3"]]
    assert len({row.index("invalid") for row in rows} | {headings.index("REASON")}) == 1
    assert number == "2 of 3 dead letters in orders.dlq are theirs"


def test_a_table_by_order_without_rows_has_no_headings() -> None:
    assert [*table_by_order([(dead_letter(1), None)], ["b"], "orders.dlq")] == [
        "0 of 1 dead letters in orders.dlq are theirs"
    ]


def test_a_long_detail_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(excerpts([dead_letter(1, **{Header.DETAIL: b"x" * 500})]), 1)
    assert capsys.readouterr().out.splitlines()[1].endswith(" " + "x" * 80)


def test_a_description_has_the_headers_and_the_size_of_the_value() -> None:
    first, size, *headers = description(dead_letter(1, plain=b"\x1b[2J"))
    assert (first, size) == ("key: key", "size: 5 bytes")
    assert headers[0] == "dlq-reason: invalid"
    assert headers[-1] == "plain: \N{REPLACEMENT CHARACTER}[2J"


def test_a_description_says_that_the_value_is_a_stub() -> None:
    lines = [*description(dead_letter(1, **{Header.STUB: b""}))]
    assert lines[1] == "size: 5 bytes, a stub: the original was too large"


VALUE = b'{\n\t"a": "\x1b]52;c;cm0=\x07\xff\xc2\x9b\xe2\x80\xae"}'
"""An escape sequence that writes to the clipboard, a byte that is not UTF-8, a C1 control, and right-to-left text."""


def test_a_value_is_written_byte_for_byte_to_a_file(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    print_value(VALUE)
    assert capfdbinary.readouterr().out == VALUE


def test_a_value_cannot_control_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_value(VALUE)
    assert capsys.readouterr().out == '{\n        "a": "\ufffd]52;c;cm0=\ufffd\ufffd\ufffd\ufffd"}\n'
