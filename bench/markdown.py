"""A report as Markdown tables, with a comparison with an earlier run."""

import math
from collections.abc import Sequence
from typing import Final

from bench.ratios import RatioResult
from bench.report import Circumstances, FigureSummary, Report

_MIB: Final = 2**20
_COMPARISON_COLUMNS: Final = ("before", "change")


def render(report: Report, earlier: Report | None = None) -> str:
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


def _ratio_line(result: RatioResult, earlier: RatioResult | None) -> list[str]:
    unit = result.unit
    return [
        str(result.number),
        result.text,
        f"{result.direction} {_limit(result.goal, unit)}",
        _format(result.median, unit),
        _range(result.values, unit),
        _status(result, earlier),
        *_comparison(result.median, unit, earlier.median if earlier else None),
    ]


def _status(result: RatioResult, earlier: RatioResult | None) -> str:
    status = "met" if result.is_met else "missed"
    return f"{status}, **worse**" if earlier and result.is_worse_than(earlier) else status


def _figure_table(report: Report, earlier: Report | None) -> str:
    known = earlier.figures if earlier else {}
    lines = [["figure", "unit", "median", "range", *_COMPARISON_COLUMNS]]
    lines += [_figure_line(name, figure, known.get(name)) for name, figure in report.figures.items()]
    return _table(lines, compared=earlier is not None)


def _figure_line(name: str, figure: FigureSummary, earlier: FigureSummary | None) -> list[str]:
    unit = figure.unit
    return [
        name,
        unit,
        _format(figure.median, unit),
        _range(figure.values, unit),
        *_comparison(figure.median, unit, earlier.median if earlier else None),
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
