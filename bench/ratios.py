"""The ratios of a run, and their goals."""

import operator
from collections.abc import Iterator
from itertools import starmap
from statistics import median
from typing import Final, Literal, NamedTuple

import msgspec

from bench.figures import Figure, Figures

_MIB: Final = 2**20


class Ratio(NamedTuple):
    """The goal for one figure divided by another, or for one figure."""

    number: int
    text: str
    numerator: str
    denominator: str | None
    direction: Literal[">=", "<="]
    goal: float

    @property
    def name(self) -> str:
        return f"{self.numerator} / {self.denominator}" if self.denominator else self.numerator


RATIOS: Final = (
    Ratio(1, "one consumer / COPY of prepared blocks", "ingest.orders", "ingest.copy", ">=", 0.9),
    Ratio(2, "two consumers / one, 6 partitions", "ingest.two", "ingest.orders", ">=", 1.5),
    Ratio(3, "one consumer / one message at a time", "ingest.orders", "ingest.baseline", ">=", 50),
    Ratio(4, "5 % duplicates and 1 % invalid / clean", "ingest.dirty", "ingest.orders", ">=", 0.85),
    Ratio(5, "redelivery of stored orders / clean", "ingest.redelivery", "ingest.orders", ">=", 1.5),
    Ratio(6, "latency from producer to GET, idle, p50", "latency.idle.p50", None, "<=", 15),
    Ratio(6, "latency from producer to GET, idle, p99", "latency.idle.p99", None, "<=", 40),
    Ratio(7, "the same at 1,000 orders/s, p99", "latency.1000.p99", None, "<=", 60),
    Ratio(8, "PostgreSQL's CPU per order / COPY", "ingest.orders.postgresql", "ingest.copy.postgresql", "<=", 1.3),
    Ratio(9, "cached GETs per CPU-second / Go net/http", "get.cached.orders", "get.cached.go", ">=", 1.2),
    Ratio(10, "the same / nginx, static files", "get.cached.orders", "get.cached.nginx", ">=", 1.1),
    Ratio(11, "the same / plain FastAPI", "get.cached.orders", "get.cached.fastapi", ">=", 15),
    Ratio(12, "uncached GET / bare psycopg loop", "get.uncached.orders", "get.uncached.bare", ">=", 0.5),
    Ratio(13, "warm-up / bare COPY of the same statement", "warm_up.orders", "warm_up.copy", ">=", 0.8),
    Ratio(14, "memory of a cached order / its bytes", "memory.entry", "memory.document", "<=", 1.4),
    Ratio(15, "ingest into a large table / into 10^4 orders", "ingest.large", "ingest.small", ">=", 0.6),
    Ratio(15, "the same, without a recent checkpoint", "ingest.large_steady", "ingest.small", ">=", 0.6),
    Ratio(16, "consumer's memory, this backlog", "ingest.orders.memory", None, "<=", 256 * _MIB),
    Ratio(16, "consumer's memory, backlog of 10^6", "ingest.backlog.memory", None, "<=", 256 * _MIB),
    Ratio(17, "one consumer / COPY, into a large table", "ingest.large", "ingest.large_copy", ">=", 0.9),
    Ratio(18, "decoding plain JSON / JSON with a schema id", "decode.json", "decode.confluent-json", ">=", 0.9),
    Ratio(19, "decoding plain JSON / Protobuf", "decode.json", "decode.protobuf", ">=", 0.3),
    Ratio(20, "decoding plain JSON / Avro", "decode.json", "decode.avro", ">=", 0.25),
)


class RatioResult(msgspec.Struct, frozen=True):
    """The measured value of a ratio."""

    number: int
    text: str
    name: str
    unit: str
    direction: Literal[">=", "<="]
    goal: float
    values: tuple[float, ...]
    """One per round, or the quotient of the medians."""

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def spread(self) -> float:
        return max(self.values) - min(self.values)

    @property
    def is_met(self) -> bool:
        return self.median >= self.goal if self.direction == ">=" else self.median <= self.goal

    def is_worse_than(self, earlier: "RatioResult") -> bool:
        """Return whether the median is worse by more than the spread of either run.

        False for two runs of one round each, whose spread is unknown.
        """
        gain = self.median - earlier.median if self.direction == ">=" else earlier.median - self.median
        is_spread_known = len(self.values) > 1 or len(earlier.values) > 1
        return is_spread_known and -gain > max(self.spread, earlier.spread)


def evaluate(figures: Figures) -> Iterator[RatioResult]:
    """Yield the results of the ratios whose figures were measured."""
    return (_result(ratio, figures) for ratio in RATIOS if _is_measured(ratio, figures))


def _is_measured(ratio: Ratio, figures: Figures) -> bool:
    return ratio.numerator in figures and (ratio.denominator is None or ratio.denominator in figures)


def _result(ratio: Ratio, figures: Figures) -> RatioResult:
    numerator = figures[ratio.numerator]
    values, unit = numerator.values, numerator.unit
    if ratio.denominator:
        values, unit = _quotients(numerator, figures[ratio.denominator]), ""
    return RatioResult(ratio.number, ratio.text, ratio.name, unit, ratio.direction, ratio.goal, values)


def _quotients(numerator: Figure, denominator: Figure) -> tuple[float, ...]:
    """Divide round by round, because a disturbance affects both figures; medians if the number of rounds differs."""
    if len(numerator.values) != len(denominator.values):
        return (numerator.median / denominator.median,)
    return tuple(starmap(operator.truediv, zip(numerator.values, denominator.values, strict=True)))
