"""Markdown tables of scenarios and of mutations."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.faults.checker import CheckResult

HEADINGS: Final = (
    "scenario", "seed", "produced", "stored", "unchanged", "stale", "dead-lettered", "tombstones", "erased",
    "repeated", "lost", "duplicated", "wrong version", "first s", "full rate s",
)  # fmt: skip


class Recovery(NamedTuple):
    """Seconds from the end of a fault until the first commit, and until commits reach the rate of the stream."""

    first: float
    full: float


class Line(NamedTuple):
    """The result of one scenario with one seed."""

    scenario: str
    seed: int
    result: CheckResult
    recovery: Recovery | None
    message_format: str = ""
    """Empty if the scenario mixes formats."""


def rendered(lines: Sequence[Line]) -> str:
    """Return a table of the scenarios that mix formats."""
    return aligned([HEADINGS, *(_cells(line) for line in lines if not line.message_format)], words=1)


def rendered_by_format(lines: Sequence[Line]) -> str:
    """Return a table of formats and scenarios: how many messages were lost, duplicated or wrong, of how many."""
    runs = [line for line in lines if line.message_format]
    scenarios = [*dict.fromkeys(line.scenario for line in runs)]
    results: dict[tuple[str, str], list[CheckResult]] = {}
    for line in runs:
        results.setdefault((line.message_format, line.scenario), []).append(line.result)
    rows = [
        (each, *(_errors(results.get((each, scenario), [])) for scenario in scenarios))
        for each in dict.fromkeys(line.message_format for line in runs)
    ]
    return aligned([("format", *scenarios), *rows], words=1)


def aligned(rows: Sequence[Sequence[str]], words: int) -> str:
    """Return a padded Markdown table; the first `words` columns are left-aligned, the others right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = ["-" * width if number < words else "-" * (width - 1) + ":" for number, width in enumerate(widths)]
    return "\n".join(_padded(row, widths, words) for row in (rows[0], rule, *rows[1:]))


def write_into(path: Path, table: str, name: str) -> None:
    """Replace the table between the markers of that name in a file."""
    beginning, end = f"<!-- {name} begins -->\n", f"<!-- {name} ends -->\n"
    before, _, rest = path.read_text().partition(beginning)
    after = rest.partition(end)[2]
    path.write_text(f"{before}{beginning}{table}\n{end}{after}")


def _cells(line: Line) -> tuple[str, ...]:
    result, recovery = line.result, line.recovery
    counts = (
        result.produced, result.stored, result.unchanged, result.stale, result.dead_lettered, result.tombstones,
        result.erased, result.repeated, result.lost, result.duplicated + result.unexpected,
        result.wrong_version + result.wrong_dead_letter,
    )  # fmt: skip
    seconds = (f"{recovery.first:.1f}", f"{recovery.full:.1f}") if recovery else ("", "")
    return line.scenario, str(line.seed), *(f"{count:,}" for count in counts), *seconds


def _errors(results: Sequence[CheckResult]) -> str:
    """Return nothing if the scenario did not run with the format."""
    return f"{sum(each.errors for each in results)} of {sum(each.produced for each in results):,}" if results else ""


def _padded(row: Sequence[str], widths: Sequence[int], words: int) -> str:
    cells = [cell.ljust(width) for cell, width in zip(row[:words], widths, strict=False)]
    cells += [cell.rjust(width) for cell, width in zip(row[words:], widths[words:], strict=True)]
    return f"| {' | '.join(cells)} |"
