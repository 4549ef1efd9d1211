"""The report of a run: its circumstances, ratios and figures. `orders bench --json` writes it to a file."""

from pathlib import Path

import msgspec

from bench.figures import Figure, Figures
from bench.ratios import RatioResult, evaluate
from service.errors import CommandFailed


class FigureSummary(msgspec.Struct, frozen=True):
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
    ratios: tuple[RatioResult, ...]
    figures: dict[str, FigureSummary]


def create(figures: Figures, circumstances: Circumstances) -> Report:
    """Return the report of a run, without ratios whose figures were not measured."""
    summaries = {name: _summary(figure) for name, figure in figures.items()}
    return Report(circumstances, tuple(evaluate(figures)), summaries)


def write(report: Report, path: Path) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")


def read(path: Path) -> Report:
    """Read a report written by `write`. Raises CommandFailed."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except (OSError, msgspec.DecodeError):
        raise CommandFailed(f"cannot read {path}: not a report of `orders bench --json`") from None


def _summary(figure: Figure) -> FigureSummary:
    return FigureSummary(figure.unit, figure.median, figure.lowest, figure.highest, figure.values)
