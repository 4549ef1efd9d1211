"""Which fault struck in which stage of a member."""

from collections.abc import Collection, Iterator
from typing import Final

from tests.simulation.nemesis import Pair
from tests.simulation.plan import FaultKind, Stage

IMPOSSIBLE: Final[dict[Pair, str]] = {}
"""Why a fault cannot strike in a stage."""


def report(pairs: Collection[Pair]) -> Iterator[str]:
    """Yield lines about all pairs of faults and stages."""
    missing = sorted(
        (fault.name, stage.name)
        for fault in FaultKind
        for stage in Stage
        if (fault, stage) not in pairs and (fault, stage) not in IMPOSSIBLE
    )
    yield f"fault x stage: {len(pairs)} of {len(FaultKind) * len(Stage)} pairs hit"
    for fault, stage in missing:
        yield f"  not hit: {fault} while {stage}"
