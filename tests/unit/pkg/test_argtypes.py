from argparse import ArgumentTypeError

import pytest

from service.pkg.argtypes import duration, timestamp
from service.pkg.timestamps import to_milliseconds

DAY = 86_400


@pytest.mark.parametrize(("text", "seconds"), [("40d", 40 * DAY), ("1.5h", 5_400), ("500ms", 0.5), (" 10 s ", 10)])
def test_a_duration_is_a_number_with_a_unit(text: str, seconds: float) -> None:
    assert duration(text) == seconds


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
