"""Tables as Markdown: of what became of every message, and of what notices every mutation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.faults.checker import CheckResult

HEADS: Final = (
    "scenario", "seed", "produced", "stored", "unchanged", "stale", "dead-lettered", "tombstones", "erased",
    "again", "lost", "doubled", "wrong version", "first s", "full speed s",
)  # fmt: skip


class Recovery(NamedTuple):
    """Seconds from the end of a fault until something was done again, and until as much was done as before it."""

    first: float
    full: float


class Line(NamedTuple):
    """What became of one scenario's messages under one seed."""

    scenario: str
    seed: int
    verdict: CheckResult
    recovery: Recovery | None


def rendered(lines: Sequence[Line]) -> str:
    """Return a table of lines: words to the left, numbers to the right."""
    return aligned([HEADS, *map(_cells, lines)], words=1)


def aligned(rows: Sequence[Sequence[str]], words: int) -> str:
    """Return a Markdown table, padded for a terminal: so many columns to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = ["-" * width if number < words else "-" * (width - 1) + ":" for number, width in enumerate(widths)]
    return "\n".join(_padded(row, widths, words) for row in (rows[0], rule, *rows[1:]))


def write_into(path: Path, table: str, name: str) -> None:
    """Put a table between the two marks that a file has for it."""
    beginning, end = f"<!-- {name} begins -->\n", f"<!-- {name} ends -->\n"
    before, _, rest = path.read_text().partition(beginning)
    after = rest.partition(end)[2]
    path.write_text(f"{before}{beginning}{table}\n{end}{after}")


def _cells(line: Line) -> tuple[str, ...]:
    verdict, recovery = line.verdict, line.recovery
    counts = (
        verdict.produced, verdict.stored, verdict.unchanged, verdict.stale, verdict.dead_lettered, verdict.tombstones,
        verdict.erased, verdict.again, verdict.lost, verdict.doubled + verdict.unexpected,
        verdict.wrong_version + verdict.wrong_dead_letter,
    )  # fmt: skip
    seconds = (f"{recovery.first:.1f}", f"{recovery.full:.1f}") if recovery else ("", "")
    return line.scenario, str(line.seed), *(f"{count:,}" for count in counts), *seconds


def _padded(row: Sequence[str], widths: Sequence[int], words: int) -> str:
    cells = [cell.ljust(width) for cell, width in zip(row[:words], widths, strict=False)]
    cells += [cell.rjust(width) for cell, width in zip(row[words:], widths[words:], strict=True)]
    return f"| {' | '.join(cells)} |"
