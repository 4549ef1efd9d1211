"""Dead letters in the terminal: their coordinates and headers, but not their values."""

from service.app.commands.support.dead_letter_text import description, table, table_by_order
from service.entities.dead_letter_headers import Header
from service.entities.dead_letter_record import DeadLetterRecord

HEADINGS = ["PARTITION", "OFFSET", "REASON", "ORIGINAL", "FAILED", "AT", "REPLAYS", "DETAIL"]


def dead_letter(offset: int, **changes: bytes) -> DeadLetterRecord:
    headers: dict[str, bytes] = {
        Header.REASON: b"invalid", Header.TOPIC: b"orders", Header.PARTITION: b"2", Header.OFFSET: b"101",
        Header.TIMESTAMP: b"1700000000000", Header.FAILED_AT: b"2026-11-23T10:00:00.000Z", Header.DETAIL: b"sm_id",
        Header.REPLAYS: b"1",
    } | changes  # fmt: skip
    return DeadLetterRecord(0, offset, 1_000, b"key", b"value", list(headers.items()))


def test_a_table_has_a_row_for_each_dead_letter_and_their_number() -> None:
    headings, row, number = table(iter([dead_letter(7)]), 10)
    assert headings.split() == HEADINGS
    assert row.split() == ["0", "7", "invalid", "orders/2/101", "2026-11-23T10:00:00.000Z", "1", "sm_id"]
    assert number == "1 shown"


def test_a_table_ends_at_its_limit_and_reports_that_there_are_more() -> None:
    rows = [*table(map(dead_letter, range(4)), 3)]
    assert [row.split()[1] for row in rows[1:-1]] == ["0", "1", "2"]
    assert rows[-1] == "3 shown, there are more: --max shows them"
    assert [*table(map(dead_letter, range(3)), 3)][-1] == "3 shown"
    assert [*table(iter([]), 3)][-1] == "0 shown"


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


def test_a_long_detail_is_cut() -> None:
    _, row, _ = table(iter([dead_letter(1, **{Header.DETAIL: b"x" * 500})]), 1)
    assert row.endswith(" " + "x" * 80)


def test_a_description_has_the_headers_and_the_size_of_the_value() -> None:
    first, size, *headers = description(dead_letter(1, plain=b"\x1b[2J"))
    assert (first, size) == ("key: key", "size: 5 bytes")
    assert headers[0] == "dlq-reason: invalid"
    assert headers[-1] == "plain: \N{REPLACEMENT CHARACTER}[2J"


def test_a_description_says_that_the_value_is_a_stub() -> None:
    lines = [*description(dead_letter(1, **{Header.STUB: b""}))]
    assert lines[1] == "size: 5 bytes, a stub: the original was too large"
