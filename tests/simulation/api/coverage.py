"""Which fault struck with which layout."""

from collections.abc import Collection, Iterator

from tests.simulation.api.plan import FaultKind, Layout

Pair = tuple[FaultKind, Layout]


def report(pairs: Collection[Pair]) -> Iterator[str]:
    """Yield how many pairs were hit, and the others."""
    missing = sorted(
        (fault.name, layout.name) for fault in FaultKind for layout in Layout if (fault, layout) not in pairs
    )
    yield f"fault x layout: {len(pairs)} of {len(FaultKind) * len(Layout)} pairs hit"
    for fault, layout in missing:
        yield f"  not hit: {fault} with {layout}"
