from argparse import ArgumentTypeError
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from service.pkg.argtypes import (
    duration,
    duration_or_seconds,
    duration_up_to,
    fraction,
    non_negative_int,
    port,
    positive_float,
    positive_int,
    rate,
    timestamp,
    timestamp_or_age,
)
from service.pkg.timestamps import to_milliseconds

DAY = 86_400


@pytest.mark.parametrize(("text", "seconds"), [("40d", 40 * DAY), ("1.5h", 5_400), ("500ms", 0.5), (" 10 s ", 10)])
def test_a_duration_is_a_number_with_a_unit(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"), [("1h30m", 5_400), ("1d12h", 1.5 * DAY), ("2m5s", 125), ("1d1h1m1s", DAY + 3_661)]
)
def test_a_duration_can_combine_units_from_large_to_small(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["30m1h", "1h1h", "1h30", "1h 30m", "1.5h30m", "h30m"])
def test_any_other_combination_is_rejected(text: str) -> None:
    with pytest.raises(ArgumentTypeError):
        duration(text)


def test_an_infinite_duration_is_rejected() -> None:
    with pytest.raises(ArgumentTypeError, match=r"^is too long$"):
        duration("9" * 400 + "d")


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("60", 60), (" 1.5 ", 1.5), ("90m", 5_400), ("1h30m", 5_400)])
def test_a_number_alone_can_be_allowed_as_seconds(text: str, seconds: float) -> None:
    assert duration_or_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "-1", "inf", "nan", "1h30"])
def test_other_texts_are_not_seconds(text: str) -> None:
    with pytest.raises(ArgumentTypeError):
        duration_or_seconds(text)


@pytest.mark.parametrize("text", ["40", "40 ", "", "0"])
def test_a_duration_without_a_unit_is_rejected_because_it_could_mean_days(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="must be a number with a unit"):
        duration(text)


@pytest.mark.parametrize("text", ["d", "40 days", "-1d", "4w"])
def test_an_unknown_unit_is_rejected(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="must be a duration such as"):
        duration(text)


def test_a_timestamp_has_a_time_zone() -> None:
    assert to_milliseconds(timestamp("1970-01-01T01:00:01.5+01:00")) == 1_500
    for wrong in ("yesterday", "2026-11-23", "2026-11-23T10:00:00"):
        with pytest.raises(ArgumentTypeError, match="with a time zone"):
            timestamp(wrong)


def test_a_time_can_be_an_age() -> None:
    before = datetime.now(UTC)
    assert before <= timestamp_or_age("1h30m") + timedelta(minutes=90) <= datetime.now(UTC)
    assert timestamp_or_age("1970-01-01T00:00:00Z") == datetime.fromtimestamp(0, UTC)


@pytest.mark.parametrize("text", ["40", "yesterday", "2026-11-23T10:00:00"])
def test_any_other_text_is_neither_a_time_nor_an_age(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match=r"with a time zone, .* or an age such as 40d"):
        timestamp_or_age(text)


def test_an_age_before_the_first_year_is_rejected() -> None:
    with pytest.raises(ArgumentTypeError, match="at most 2000 years ago"):
        timestamp_or_age("999999d")


@pytest.mark.parametrize(
    ("parse", "accepted", "rejected", "message"),
    [
        (
            non_negative_int,
            {"0": 0, "007": 7},
            ["-1", "1.5", "", "\u0661", "\u00b2"],
            "must be a whole number, 0 or greater",
        ),
        (positive_int, {"1": 1, "12": 12}, ["0", "-1", "+1", "x"], "must be a whole number, 1 or greater"),
        (port, {"1": 1, "65535": 65_535}, ["0", "65536", "-1", "http"], "must be a port number between 1 and 65535"),
        (positive_float, {"0.5": 0.5, "1e3": 1_000}, ["0", "-1", "inf", "nan", "x"], "must be a number greater than 0"),
        (rate, {"0": 0, "0.5": 0.5}, ["-0.1", "inf", "nan", "x"], "must be a number per second, or 0 for no limit"),
        (
            fraction,
            {"0": 0, "1": 1, "0.02": 0.02},
            ["-0.1", "1.01", "nan", "2 %"],
            "must be a number between 0 and 1, such as 0.02 for 2 %",
        ),
        (
            lambda text: duration_up_to(7 * DAY)(text),  # noqa: PLW0108 - created while the test runs
            {"7d": 7 * DAY, "1ms": 0.001},
            ["0s", "8d", "604801s"],
            "must be more than 0 and at most 7d",
        ),
    ],
)
def test_a_number_out_of_range_is_rejected_with_the_range(
    parse: Callable[[str], float], accepted: dict[str, float], rejected: list[str], message: str
) -> None:
    assert {text: parse(text) for text in accepted} == accepted
    for text in rejected:
        with pytest.raises(ArgumentTypeError, match=f"^{message}$"):
            parse(text)
