"""Samples of several rounds become figures."""

import pytest

from bench.figures import Figure, Sample, figures_of, percentile


def test_the_samples_of_a_name_become_one_figure_in_the_order_of_their_rounds() -> None:
    samples = [Sample("a", "ms", 3.0), Sample("b", "bytes", 1.0), Sample("a", "ms", 1.0), Sample("a", "ms", 2.0)]
    assert figures_of(samples) == {"a": Figure("ms", (3.0, 1.0, 2.0)), "b": Figure("bytes", (1.0,))}


def test_a_figure_tells_its_median_and_its_range() -> None:
    figure = Figure("ms", (3.0, 1.0, 2.0, 10.0))
    assert (figure.median, figure.lowest, figure.highest, figure.spread) == (2.5, 1.0, 10.0, 9.0)


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (0.0, 1), (1.0, 100)])
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(share: float, expected: int) -> None:
    assert percentile([*range(100, 0, -1)], share) == expected


def test_the_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 0.99) == 7.0
