"""The options of `orders bench`."""

import argparse

import pytest

from bench import command
from bench.command import MEASURES, add_arguments, rounds_of, scale_of


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(arguments)


@pytest.mark.parametrize(
    ("arguments", "rounds", "scale"),
    [
        ([], 3, 1.0),
        (["--quick"], 1, 0.05),
        (["--quick", "--rounds", "2"], 2, 0.05),
        (["--quick", "--scale", "0.01"], 1, 0.01),
        (["--rounds", "5", "--scale", "2"], 5, 2.0),
    ],
)
def test_rounds_and_scale_are_as_told_and_else_as_the_whole_or_the_quick_run_has_them(
    arguments: list[str], rounds: int, scale: float
) -> None:
    args = parsed(*arguments)
    assert (rounds_of(args), scale_of(args)) == (rounds, scale)


@pytest.mark.parametrize(
    "arguments",
    [["--rounds", "0"], ["--rounds", "-1"], ["--scale", "0"], ["--scale", "inf"], ["--scale", "x"], ["--only", "x"]],
)
def test_what_can_not_be_measured_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed(*arguments)
    assert ended.value.code == 2


def test_everything_that_can_be_chosen_can_be_measured() -> None:
    assert command.MEASURES.keys() == {*MEASURES}
