"""What an endurance run measures on its way, as a Markdown table."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from tests.faults.table import aligned

HEADINGS: Final = ("minute", "produced", "processed", "messages/s", "database GiB", "consumer MiB", "faults before")


class Sample(NamedTuple):
    """Counts since the start. `processed` messages are committed."""

    seconds: float
    produced: int
    processed: int
    database_bytes: int
    consumer_bytes: int
    """Resident memory of the largest consumer."""
    faults: tuple[str, ...]
    """Faults since the previous sample."""


START: Final = Sample(0.0, 0, 0, 0, 0, ())


def table(samples: Sequence[Sample]) -> str:
    return aligned([HEADINGS, *(cells(*pair) for pair in pairwise([START, *samples]))], words=0)


def growth(samples: Sequence[Sample]) -> float:
    """Return the ratio of the largest consumer's memory in the second half of the run to that in the first half."""
    middle = len(samples) // 2
    return _largest(samples[middle:]) / _largest(samples[:middle])


def _largest(samples: Iterable[Sample]) -> int:
    return max(sample.consumer_bytes for sample in samples)


def cells(before: Sample, sample: Sample) -> tuple[str, ...]:
    """Return a row of the table; `before` is the previous sample."""
    rate = (sample.processed - before.processed) / (sample.seconds - before.seconds)
    return (
        f"{sample.seconds / 60:.1f}",
        f"{sample.produced:,}",
        f"{sample.processed:,}",
        f"{rate:,.0f}",
        f"{sample.database_bytes / 2**30:.1f}",
        f"{sample.consumer_bytes / 2**20:.0f}",
        ", ".join(sample.faults),
    )
