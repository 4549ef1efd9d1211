"""The options of `orders bench`."""

import argparse

import pytest

from bench import command
from bench.command import MEASURES, add_arguments, rounds_of, scale_of


def parse(*arguments: str) -> argparse.Namespace:
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
def test_rounds_and_scale_default_to_those_of_the_full_or_quick_run(
    arguments: list[str], rounds: int, scale: float
) -> None:
    args = parse(*arguments)
    assert (rounds_of(args), scale_of(args)) == (rounds, scale)


@pytest.mark.parametrize(
    "arguments",
    [["--rounds", "0"], ["--rounds", "-1"], ["--scale", "0"], ["--scale", "inf"], ["--scale", "x"], ["--only", "x"]],
)
def test_invalid_options_are_usage_errors(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        parse(*arguments)
    assert raised.value.code == 2


def test_every_measure_is_implemented() -> None:
    assert command.MEASURES.keys() == {*MEASURES}
