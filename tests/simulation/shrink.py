"""Reduces a failing plan to the faults that it needs."""

from dataclasses import replace

from tests.simulation.plan import Plan
from tests.simulation.simulation import Result, simulate


def shrink(failed: Result) -> Result:
    """Drop faults one at a time while the simulation still fails; return the last failure."""
    for fault in failed.plan.faults:
        if (result := simulate(without(failed.plan, fault))).problem is not None:
            failed = result
    return failed


def without(plan: Plan, fault: object) -> Plan:
    return replace(plan, faults=tuple(each for each in plan.faults if each is not fault))


def report(failed: Result) -> str:
    """Return the problem, the plan and the timeline, for a person to read."""
    plan = failed.plan
    settings = (
        f"{plan.members} members, {plan.partitions} partitions, {plan.records} records, "
        f"batches of {plan.max_messages}, {'exactly' if plan.exactly_once else 'at least'} once"
    )
    faults = [f"  {fault}" for fault in plan.faults] or ["  none"]
    return "\n".join(
        [f"seed {plan.seed}: {failed.problem}", settings, "faults:", *faults, "timeline:", *map(str, failed.events)]
    )
