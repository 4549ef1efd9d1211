"""Figures summarize the samples of several rounds."""

import pytest

from bench.figures import Figure, Sample, figures_of, percentile


def test_samples_with_the_same_name_become_one_figure_in_order() -> None:
    samples = [Sample("a", "ms", 3.0), Sample("b", "bytes", 1.0), Sample("a", "ms", 1.0), Sample("a", "ms", 2.0)]
    assert figures_of(samples) == {"a": Figure("ms", (3.0, 1.0, 2.0)), "b": Figure("bytes", (1.0,))}


def test_a_figure_has_median_and_range() -> None:
    figure = Figure("ms", (3.0, 1.0, 2.0, 10.0))
    assert (figure.median, figure.lowest, figure.highest, figure.spread) == (2.5, 1.0, 10.0, 9.0)


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (0.0, 1), (1.0, 100)])
def test_percentile_uses_the_nearest_rank(share: float, expected: int) -> None:
    assert percentile([*range(100, 0, -1)], share) == expected


def test_the_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 0.99) == 7.0
