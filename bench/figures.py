"""Figures: the samples of all rounds, with their median and range."""

import math
from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple


class Sample(NamedTuple):
    """The value of one figure in one round."""

    name: str
    """A dotted name, such as "ingest.orders" or "get.cached.go"."""
    unit: str
    """Such as "orders/s", "us/order", "ms", "requests/cpu-s" or "bytes"."""
    value: float


class Figure(NamedTuple):
    """`values` are in the order of the rounds."""

    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def lowest(self) -> float:
        return min(self.values)

    @property
    def highest(self) -> float:
        return max(self.values)

    @property
    def spread(self) -> float:
        return self.highest - self.lowest


Figures = dict[str, Figure]


def figures_of(samples: Iterable[Sample]) -> Figures:
    """Group samples by name, in the order of each name's first sample."""
    figures: Figures = {}
    for name, unit, value in samples:
        known = figures.get(name, Figure(unit, ()))
        figures[name] = Figure(unit, (*known.values, value))
    return figures


def percentile(values: Sequence[float], fraction: float) -> float:
    """Return the nearest-rank percentile of at least one value; `fraction` is 0.99 for the 99th."""
    ranked = sorted(values)
    return ranked[max(math.ceil(fraction * len(ranked)) - 1, 0)]
