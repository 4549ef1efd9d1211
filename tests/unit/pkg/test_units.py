from collections.abc import Callable
from typing import Any

import pytest

from service.pkg.units import parse_age, parse_bytes, parse_seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1.5", 1.5), ("500ms", 0.5), ("10s", 10), ("10m", 600), ("2h", 7_200), ("1.5d", 129_600), (" 3 s ", 3), ("0", 0)],
)
def test_a_duration_is_a_number_with_an_optional_unit(text: str, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"), [("1048576", 2**20), ("7B", 7), ("512KiB", 2**19), ("256MiB", 2**28), ("1.5GiB", 3 * 2**29)]
)
def test_a_size_is_a_whole_number_of_bytes(text: str, size: int) -> None:
    assert parse_bytes(text) == size
    assert isinstance(parse_bytes(text), int)


@pytest.mark.parametrize(
    "text", ["", "s", "1 0s", "-1s", "1e3", "10S", "1w", "10s1m", "1,5s", "inf", "\N{ARABIC-INDIC DIGIT THREE}s"]
)
def test_any_other_text_is_not_a_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must be a duration such as 500ms, 10s, 5m, 2h or 1d$"):
        parse_seconds(text)


@pytest.mark.parametrize("text", ["256M", "256MB", "256mib", "8bit", "1s"])
def test_decimal_units_are_not_sizes(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must be a size such as 1048576, 512KiB, 256MiB or 1GiB$"):
        parse_bytes(text)


def test_an_age_has_a_unit() -> None:
    assert parse_age("40d") == 40 * 86_400
    for text in ("40", "1.5 ", ""):
        with pytest.raises(ValueError, match=r"^must be a number with a unit \(s, m, h or d\), such as 40d$"):
            parse_age(text)


@pytest.mark.parametrize("parse", [parse_seconds, parse_age, parse_bytes])
def test_a_value_that_is_not_a_text_is_left_to_pydantic(parse: Callable[[Any], Any]) -> None:
    assert [parse(value) for value in (7, None)] == [7, None]
