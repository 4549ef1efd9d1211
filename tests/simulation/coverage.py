"""Which fault struck where."""

from collections.abc import Collection, Iterator
from enum import Enum
from typing import Any


def report(pairs: Collection[Any], faults: type[Enum], places: type[Enum], where: str) -> Iterator[str]:
    """Yield how many pairs were hit, and the others. All are possible: a fault may be armed anywhere.

    `where`: the word between a fault and its place.
    """
    missing = sorted((fault.name, place.name) for fault in faults for place in places if (fault, place) not in pairs)
    yield f"fault x {places.__name__.lower()}: {len(pairs)} of {len(faults) * len(places)} pairs hit"
    for fault_name, place_name in missing:
        yield f"  not hit: {fault_name} {where} {place_name}"
