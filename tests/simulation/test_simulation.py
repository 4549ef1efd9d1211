"""Simulated schedules of the real consumer: docs/simulation.md."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.simulation.passing import require_passed
from tests.simulation.plan import Fault, FaultKind, Stage, plan_of
from tests.simulation.planned_operations import PlannedErasure, PlannedReplay, Replayed
from tests.simulation.shrink import report, shrink
from tests.simulation.simulation import simulate
from tests.simulation.timeline import Event

SEEDS = 400
"""As many as take a third of a minute."""
passed = partial(require_passed, simulate)
SEEDS_OF_A_TEST = 50
REGRESSIONS = [
    int(line.split()[0])
    for line in Path(__file__).with_name("regressions.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_OF_A_TEST))
def test_no_schedule_of_faults_breaks_a_guarantee(first: int) -> None:
    for seed in range(first, first + SEEDS_OF_A_TEST):
        passed(plan_of(seed))


@pytest.mark.parametrize("seed", REGRESSIONS)
def test_a_seed_that_once_failed_passes(seed: int) -> None:
    passed(plan_of(seed))


def test_a_member_may_log_that_it_has_committed_although_the_topic_was_deleted_since_then() -> None:
    """As seed 1401 once did: the group's offsets are deleted with the topic."""
    recreated = Fault(FaultKind.TOPIC_RECREATED, 14.0, None, 1.5, target=56)
    stopped = Fault(FaultKind.MEMBER_STOPPED, 14.2, None, 0.2, target=0)
    passed(replace(plan_of(7), members=1, faults=(recreated, stopped)))


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_aborted_messages_leave_no_lag_while_the_circuit_breaker_is_open_and_holds_back_nothing(seed: int) -> None:
    """Orders are rejected, and their topic is recreated: only messages of a transaction are left, which is aborted."""
    rejecting = Fault(FaultKind.POSTGRES_REJECTS_ALL, 9.0, None, 20.0, target=0)
    recreated = Fault(FaultKind.TOPIC_RECREATED, 14.0, None, 1.5, target=56)
    aborted = Fault(FaultKind.TRANSACTION_STAYS_OPEN, 18.0, None, 3.0, target=6)
    plan = replace(plan_of(seed), members=1, partitions=1, exactly_once=False, flood=None)
    passed(replace(plan, faults=(rejecting, recreated, aborted)))


def test_a_replay_that_is_killed_is_repeated() -> None:
    killed = Fault(FaultKind.COMMAND_KILLED, 14.0, Stage.REPLAY_SENDING, 0.2, target=0)
    planned = PlannedReplay(14.0, Replayed.ALL, rate=2, target=0)
    result = passed(replace(plan_of(7), faults=(killed,), replays=(planned,)))
    assert (FaultKind.COMMAND_KILLED, Stage.REPLAY_SENDING) in result.pairs
    events = [each.what for each in result.events if "replay" in each.who or "replay" in each.what]
    assert "replay of all dead letters #1 failed: killed" in events
    assert events[-1] == "done"
    assert len([each for each in events if each.endswith(": sent")]) > 1


def test_members_skip_an_erased_order_until_the_erasure_is_undone() -> None:
    """The erasure precedes the first record; the undo, which is refused while there is one, succeeds at once."""
    plan = replace(plan_of(7), faults=(), flood=None)
    erased = passed(replace(plan, erasures=(PlannedErasure(0.0, None, target=0),)))
    undone = passed(replace(plan, erasures=(PlannedErasure(0.0, 0.5, target=0),)))
    assert "order-0: undone, record None" in [each.what for each in undone.events]
    assert _stored(erased.events) < _stored(undone.events)


def _stored(events: list[Event]) -> int:
    return sum(int(each.what.split()[1]) for each in events if each.what.startswith("stores"))


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
    reduced = shrink(failed, simulate)
    assert reduced.plan.faults == (needed,)
    assert "was dead-lettered" in report(reduced)
    assert "FAULT: 2.0 s: PostgreSQL is unreachable" in report(reduced)
