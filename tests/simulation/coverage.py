"""Which fault struck in which stage of a member."""

from collections.abc import Collection, Iterator

from tests.simulation.nemesis import Pair
from tests.simulation.plan import FaultKind, Stage


def report(pairs: Collection[Pair]) -> Iterator[str]:
    """Yield how many pairs were hit, and the others. All are possible: a fault may be armed in any stage."""
    missing = sorted((fault.name, stage.name) for fault in FaultKind for stage in Stage if (fault, stage) not in pairs)
    yield f"fault x stage: {len(pairs)} of {len(FaultKind) * len(Stage)} pairs hit"
    for fault, stage in missing:
        yield f"  not hit: {fault} while {stage}"
