"""What operators do in a plan."""

from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Final

from tests.simulation.workload import FLOOD_SECONDS

REPLAYED: Final = 0.3
"""Share of the plans."""
MAX_REPLAYS: Final = 3
REPLAYS_SECONDS: Final = (FLOOD_SECONDS[1], 20.0)
"""When replays begin: after a flood, because otherwise they would add dead letters to it."""
ERASED: Final = 0.2
"""Share of the plans."""
MAX_ERASURES: Final = 2
ERASURES_SECONDS: Final = (0.5, 14.0)
MAX_UNDO_SECONDS: Final = 8.0


class Replayed(Enum):
    """Which dead letters a replay sends."""

    ALL = "all dead letters"
    REJECTED = "those that PostgreSQL rejected"
    EDITED = "one, with a valid document"
    OF_ORDER = "those of an order"


@dataclass(frozen=True, slots=True)
class PlannedReplay:
    at: float
    which: Replayed
    rate: float
    """Dead letters per second; 0 if unlimited."""
    target: int
    """Selects one dead letter."""

    def __str__(self) -> str:
        return f"at {self.at:.1f} s a replay of {self.which.value}, {self.rate:g}/s"


def replays(random: Random) -> tuple[PlannedReplay, ...]:
    if random.random() >= REPLAYED:
        return ()
    return tuple(
        PlannedReplay(
            random.uniform(*REPLAYS_SECONDS),
            random.choice([*Replayed]),
            random.choice((0, 2, 5)),
            random.randrange(100),
        )
        for _ in range(random.randint(1, MAX_REPLAYS))
    )


@dataclass(frozen=True, slots=True)
class PlannedErasure:
    at: float
    undone_at: float | None
    target: int
    """Selects an order."""

    def __str__(self) -> str:
        undone = f", undone at {self.undone_at:.1f} s" if self.undone_at else ""
        return f"at {self.at:.1f} s an erasure (target {self.target}){undone}"


def erasures(random: Random) -> tuple[PlannedErasure, ...]:
    if random.random() >= ERASED:
        return ()
    return tuple(_erasure(random) for _ in range(random.randint(1, MAX_ERASURES)))


def _erasure(random: Random) -> PlannedErasure:
    at = random.uniform(*ERASURES_SECONDS)
    undone_at = at + random.uniform(0, MAX_UNDO_SECONDS) if random.random() < 0.5 else None
    return PlannedErasure(at, undone_at, random.randrange(100))
