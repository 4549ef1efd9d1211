"""What is shown of a dead letter, whose headers, key and value may contain anything."""

import pytest

from service.entities.dead_letter_headers import Header
from service.entities.dead_letter_record import DeadLetterRecord, printable

PLAIN = DeadLetterRecord(0, 7, 1_000, b"k", b"v", [(Header.REASON, b"invalid")])


def test_the_last_of_two_headers_of_one_name_counts() -> None:
    assert PLAIN._replace(headers=[(Header.REASON, b"old"), (Header.REASON, b"new")]).reason == "new"


def test_the_excerpt_of_a_dead_letter_is_bounded() -> None:
    """Anyone who may write to a topic can fill headers as well as values."""
    foreign = [(f"header-{number}", b"x" * 100_000) for number in range(10)]
    repeated = [(Header.DETAIL, b"x" * 100_000), (Header.REASON, None), ("dlq-of-others", b"x")] * 10
    dead_letter = PLAIN._replace(headers=[*foreign, *repeated, (Header.REASON, b"rejected"), *foreign])
    shown = dead_letter.excerpt(5).dead_letter
    assert [name for name, _ in shown.headers] == [Header.DETAIL, Header.REASON, Header.REASON]
    assert sum(len(value or b"") for _, value in shown.headers) < 5_000
    assert (shown.reason, shown.text(Header.DETAIL)[:5]) == ("rejected", "xxxxx")


def test_a_dead_letter_without_a_reason_is_listed_as_unknown() -> None:
    assert PLAIN._replace(headers=[]).reason == "unknown"


@pytest.mark.parametrize(("raw", "shown"), [(b"a\x1b[2Jb", "a�[2Jb"), (b"\xff", "�"), (None, ""), ("é\n", "é�")])
def test_control_characters_are_replaced(raw: bytes | str | None, shown: str) -> None:
    assert printable(raw) == shown
