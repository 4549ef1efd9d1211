"""The report of a run: ratios and their goals, all figures, and a comparison with an earlier run."""

import math
import operator
from collections.abc import Sequence
from itertools import starmap
from pathlib import Path
from statistics import median
from typing import Final, Literal, NamedTuple

import msgspec

from bench.figures import Figure, Figures
from service.errors import CommandError

_MIB: Final = 2**20
_COMPARISON_COLUMNS: Final = ("before", "change")


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
    Ratio(16, "consumer's memory, this backlog", "ingest.orders.memory", None, "<=", 256 * _MIB),
    Ratio(16, "consumer's memory, backlog of 10^6", "ingest.backlog.memory", None, "<=", 256 * _MIB),
)


class Outcome(msgspec.Struct, frozen=True):
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

    def is_worse_than(self, earlier: "Outcome") -> bool:
        """Return whether the median is worse by more than the spread of either run.

        False for two runs of one round each, whose spread is unknown.
        """
        gain = self.median - earlier.median if self.direction == ">=" else earlier.median - self.median
        is_spread_known = len(self.values) > 1 or len(earlier.values) > 1
        return is_spread_known and -gain > max(self.spread, earlier.spread)


class Entry(msgspec.Struct, frozen=True):
    """A figure in the JSON file."""

    unit: str
    median: float
    lowest: float
    highest: float
    values: tuple[float, ...]


class Circumstances(msgspec.Struct, frozen=True):
    """The conditions of a run."""

    began: str
    rounds: int
    scale: float
    cpus: int
    load_before: tuple[float, ...]
    """Load averages over 1, 5 and 15 minutes."""
    load_after: tuple[float, ...]
    versions: dict[str, str]


class Report(msgspec.Struct, frozen=True):
    circumstances: Circumstances
    ratios: tuple[Outcome, ...]
    figures: dict[str, Entry]


def create(figures: Figures, circumstances: Circumstances) -> Report:
    """Return the report of a run, without ratios whose figures were not measured."""
    ratios = (_outcome(ratio, figures) for ratio in RATIOS if _is_measured(ratio, figures))
    entries = {name: _entry(figure) for name, figure in figures.items()}
    return Report(circumstances, tuple(ratios), entries)


def write(report: Report, path: Path) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")


def read(path: Path) -> Report:
    """Read a report written by `write`. Raises CommandError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except (OSError, msgspec.DecodeError):
        raise CommandError(f"cannot read {path}: not a report of `orders bench --json`") from None


def _is_measured(ratio: Ratio, figures: Figures) -> bool:
    return ratio.numerator in figures and (ratio.denominator is None or ratio.denominator in figures)


def _outcome(ratio: Ratio, figures: Figures) -> Outcome:
    numerator = figures[ratio.numerator]
    values, unit = numerator.values, numerator.unit
    if ratio.denominator:
        values, unit = _quotients(numerator, figures[ratio.denominator]), ""
    return Outcome(ratio.number, ratio.text, ratio.name, unit, ratio.direction, ratio.goal, values)


def _quotients(numerator: Figure, denominator: Figure) -> tuple[float, ...]:
    """Divide round by round, because a disturbance affects both figures; medians if the number of rounds differs."""
    if len(numerator.values) != len(denominator.values):
        return (numerator.median / denominator.median,)
    return tuple(starmap(operator.truediv, zip(numerator.values, denominator.values, strict=True)))


def _entry(figure: Figure) -> Entry:
    return Entry(figure.unit, figure.median, figure.lowest, figure.highest, figure.values)


def markdown(report: Report, earlier: Report | None = None) -> str:
    """Return the report as tables, with columns that compare it with an `earlier` one."""
    blocks = [
        _describe(report.circumstances),
        *([_compared_with(report.circumstances, earlier.circumstances)] if earlier else []),
        _ratio_table(report, earlier),
        _figure_table(report, earlier),
    ]
    return "\n\n".join(blocks)


def _describe(circumstances: Circumstances) -> str:
    before, after = (f"{load[0]:.1f}" for load in (circumstances.load_before, circumstances.load_after))
    versions = ", ".join(f"{name} {version}" for name, version in circumstances.versions.items())
    return (
        f"{circumstances.began}: {circumstances.rounds} rounds at scale {circumstances.scale:g} on "
        f"{circumstances.cpus} cores, load average {before} before and {after} after; {versions}."
    )


def _compared_with(now: Circumstances, earlier: Circumstances) -> str:
    warning = "" if now.scale == earlier.scale else " The sizes differ, so changes may not be caused by the code."
    return f"Compared with {_describe(earlier)}{warning}"


def _ratio_table(report: Report, earlier: Report | None) -> str:
    known = {each.name: each for each in earlier.ratios} if earlier else {}
    lines = [["", "ratio", "goal", "median", "range", "", *_COMPARISON_COLUMNS]]
    lines += [_ratio_line(each, known.get(each.name)) for each in report.ratios]
    return _table(lines, compared=earlier is not None)


def _ratio_line(outcome: Outcome, earlier: Outcome | None) -> list[str]:
    unit = outcome.unit
    return [
        str(outcome.number),
        outcome.text,
        f"{outcome.direction} {_limit(outcome.goal, unit)}",
        _format(outcome.median, unit),
        _range(outcome.values, unit),
        _result(outcome, earlier),
        *_comparison(outcome.median, unit, earlier.median if earlier else None),
    ]


def _result(outcome: Outcome, earlier: Outcome | None) -> str:
    result = "met" if outcome.is_met else "missed"
    return f"{result}, **worse**" if earlier and outcome.is_worse_than(earlier) else result


def _figure_table(report: Report, earlier: Report | None) -> str:
    known = earlier.figures if earlier else {}
    lines = [["figure", "unit", "median", "range", *_COMPARISON_COLUMNS]]
    lines += [_figure_line(name, entry, known.get(name)) for name, entry in report.figures.items()]
    return _table(lines, compared=earlier is not None)


def _figure_line(name: str, entry: Entry, earlier: Entry | None) -> list[str]:
    unit = entry.unit
    return [
        name,
        unit,
        _format(entry.median, unit),
        _range(entry.values, unit),
        *_comparison(entry.median, unit, earlier.median if earlier else None),
    ]


def _comparison(now: float, unit: str, before: float | None) -> list[str]:
    """Return the cells of `_COMPARISON_COLUMNS`, empty if there is no earlier value."""
    if not before:
        return ["", ""]
    return [_format(before, unit), f"{(now / before - 1) * 100:+.0f} %"]


def _table(lines: Sequence[Sequence[str]], *, compared: bool) -> str:
    """Return a Markdown table whose first line is the head, without the comparison columns unless `compared`."""
    width = len(lines[0]) if compared else len(lines[0]) - len(_COMPARISON_COLUMNS)
    head, *rows = (line[:width] for line in lines)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * width, *rows))


def _range(values: Sequence[float], unit: str) -> str:
    return f"{_format(min(values), unit)} to {_format(max(values), unit)}"


def _limit(goal: float, unit: str) -> str:
    return _format(goal, unit) if unit == "bytes" else f"{goal:g} {unit}".rstrip()


def _format(value: float, unit: str) -> str:
    """Return the value with at least three significant digits."""
    if unit == "bytes" and value >= _MIB:
        return f"{value / _MIB:,.1f} MiB"
    decimals = max(2 - math.floor(math.log10(value)), 0) if value > 0 else 0
    return f"{value:,.{min(decimals, 3)}f}"
