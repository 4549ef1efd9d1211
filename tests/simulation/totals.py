"""What many simulations of a part found, in little memory: a run may have millions of seeds."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.parts import Part, Summary


@dataclass(slots=True)
class Totals:
    part: Part
    planned: int
    """How many seeds are to be simulated."""
    schedules: int = 0
    failed: list[int] = field(default_factory=list)
    """Seeds."""
    _pairs: set[Any] = field(default_factory=set)
    _digests: set[int] = field(default_factory=set)

    def add(self, summary: Summary) -> None:
        self.schedules += 1
        self._pairs |= summary.pairs
        self._digests.add(int(summary.digest, 16))
        if summary.problem is not None:
            self.failed.append(summary.seed)

    def progress(self, seconds: float) -> str:
        """Return a line about a run that has taken these seconds so far."""
        return f"{self.part.name}: {self.schedules:,} of {self.planned:,} schedules, {self._speed(seconds)}"

    def report(self, seconds: float) -> Iterator[str]:
        """Yield lines about a run that took these seconds."""
        yield f"{self.part.name}: {self.schedules:,} schedules, {self._speed(seconds)}"
        yield f"{len(self._digests):,} distinct timelines"
        yield from self.part.coverage(self._pairs)

    def _speed(self, seconds: float) -> str:
        return f"{self.schedules / seconds * 60:,.0f} a minute, {len(self.failed):,} failed"
