"""Figures: what each round measured becomes a median with its range."""

import math
from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple


class Sample(NamedTuple):
    """One figure of one round."""

    name: str
    """For example "ingest.ours" or "get.cached.go"."""
    unit: str
    """Such as "orders/s", "us/order", "ms", "requests/cpu-s" or "bytes"."""
    value: float


class Figure(NamedTuple):
    """What the rounds say together; `values` are in the order of the rounds."""

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


def gathered(samples: Iterable[Sample]) -> Figures:
    """Return a figure for each name, in the order in which the names first came."""
    figures: Figures = {}
    for name, unit, value in samples:
        known = figures.get(name, Figure(unit, ()))
        figures[name] = Figure(unit, (*known.values, value))
    return figures


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of them do not exceed; `values` is not empty."""
    ranked = sorted(values)
    return ranked[max(math.ceil(share * len(ranked)) - 1, 0)]
