from argparse import ArgumentTypeError

import pytest

from service.pkg.argtypes import duration

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
