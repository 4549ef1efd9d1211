"""What a simulation of one plan returns."""

from typing import Any, NamedTuple

from tests.simulation.timeline import Event


class Result(NamedTuple):
    plan: Any
    problem: str | None
    pairs: frozenset[Any]
    """Which fault struck where: in a stage of a member, or with a layout."""
    digest: str
    events: list[Event]
