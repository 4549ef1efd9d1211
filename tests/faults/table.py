"""The table of what became of every message, as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.faults.judge import Verdict

BEGINNING: Final = "<!-- the table begins -->\n"
END: Final = "<!-- the table ends -->\n"

HEADS: Final = (
    "scenario", "seed", "produced", "stored", "unchanged", "stale", "dead-lettered", "tombstones", "again",
    "lost", "doubled", "wrong version", "first s", "full speed s",
)  # fmt: skip


class Recovery(NamedTuple):
    """Seconds from the end of a fault until something was done again, and until as much was done as before it."""

    first: float
    full: float


class Line(NamedTuple):
    """What became of one scenario's messages under one seed."""

    scenario: str
    seed: int
    verdict: Verdict
    recovery: Recovery | None


def rendered(lines: Sequence[Line]) -> str:
    """Return a Markdown table, its columns padded for a terminal."""
    rows = [HEADS, *map(_cells, lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(_padded(row, widths) for row in (rows[0], rule, *rows[1:]))


def write_into(path: Path, table: str) -> None:
    """Put the table between the two marks of a file."""
    before, _, rest = path.read_text().partition(BEGINNING)
    after = rest.partition(END)[2]
    path.write_text(f"{before}{BEGINNING}{table}\n{END}{after}")


def _cells(line: Line) -> tuple[str, ...]:
    verdict, recovery = line.verdict, line.recovery
    counts = (
        verdict.produced, verdict.stored, verdict.unchanged, verdict.stale, verdict.dead_lettered, verdict.tombstones,
        verdict.again, verdict.lost, verdict.doubled + verdict.unexpected, verdict.wrong_version + verdict.wrong_letter,
    )  # fmt: skip
    seconds = (f"{recovery.first:.1f}", f"{recovery.full:.1f}") if recovery else ("", "")
    return line.scenario, str(line.seed), *(f"{count:,}" for count in counts), *seconds


def _padded(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
    return f"| {' | '.join(cells)} |"
