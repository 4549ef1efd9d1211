"""Reduces a failing plan to the faults that it needs."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from tests.simulation.timeline import Event


class Result(Protocol):
    """Of a simulation of the consumer or of the API."""

    @property
    def plan(self) -> Any: ...

    @property
    def problem(self) -> str | None: ...

    @property
    def events(self) -> Sequence[Event]: ...


R = TypeVar("R", bound=Result)


def shrink(failed: R, simulate: Callable[[Any], R]) -> R:
    """Drop faults one at a time while the simulation still fails; return the last failure."""
    for fault in failed.plan.faults:
        if (result := simulate(without(failed.plan, fault))).problem is not None:
            failed = result
    return failed


def without(plan: Any, fault: object) -> Any:
    return replace(plan, faults=tuple(each for each in plan.faults if each is not fault))


def report(failed: Result) -> str:
    """Return the problem, the plan and the timeline, for a person to read."""
    plan = failed.plan
    faults = [f"  {fault}" for fault in plan.faults] or ["  none"]
    return "\n".join(
        [f"seed {plan.seed}: {failed.problem}", str(plan), "faults:", *faults, "timeline:", *map(str, failed.events)]
    )
