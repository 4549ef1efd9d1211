"""Reduces a failing plan to the faults that it needs."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.simulation.result import Result


def shrink(failed: Result, simulate: Callable[[Any], Result]) -> Result:
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
