"""Simulated schedules of the real consumer: docs/simulation.md."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.simulation.plan import Fault, FaultKind, Plan, plan_of
from tests.simulation.shrink import report, shrink
from tests.simulation.simulation import Result, simulate

SEEDS = 250
"""As many as take half a minute."""
SEEDS_OF_A_TEST = 25
REGRESSIONS = [
    int(line.split()[0])
    for line in Path(__file__).with_name("regressions.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


def passed(plan: Plan) -> Result:
    """Simulate, and fail with the timeline of the fewest faults."""
    result = simulate(plan)
    if result.problem is not None:
        pytest.fail(report(shrink(result)), pytrace=False)
    return result


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_OF_A_TEST))
def test_no_schedule_of_faults_breaks_a_guarantee(first: int) -> None:
    for seed in range(first, first + SEEDS_OF_A_TEST):
        passed(plan_of(seed))


@pytest.mark.parametrize("seed", REGRESSIONS)
def test_a_seed_that_once_failed_passes(seed: int) -> None:
    passed(plan_of(seed))


def test_the_same_seed_gives_the_same_timeline() -> None:
    first, again = passed(plan_of(7)), passed(plan_of(7))
    assert first.events == again.events
    assert first.events != passed(plan_of(8)).events


def test_another_order_of_the_threads_gives_another_timeline() -> None:
    plan = replace(plan_of(7), faults=(), preemption=0.1)
    assert passed(plan).events != passed(replace(plan, preemption=0.5)).events


def test_a_broken_guarantee_fails_and_is_reported_with_the_faults_that_it_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.usecases.store_batch._is_unavailable", lambda _: False)
    needed = Fault(FaultKind.POSTGRES_DOWN, 2.0, None, 5.0, 0)
    other = Fault(FaultKind.COMMIT_SLOW, 1.0, None, 1.0, 0)
    failed = simulate(replace(plan_of(7), members=1, exactly_once=False, faults=(other, needed)))
    reduced = shrink(failed)
    assert reduced.plan.faults == (needed,)
    assert "was dead-lettered" in report(reduced)
    assert "FAULT: 2.0 s: PostgreSQL is unreachable" in report(reduced)
