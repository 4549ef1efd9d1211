"""Simulated schedules of the real API: docs/simulation.md."""

from dataclasses import replace
from functools import partial

import pytest

from service.usecases.cached_orders import CachedOrders
from tests.simulation.api.plan import Fault, FaultKind, Layout, Plan, plan_of
from tests.simulation.api.simulation import simulate
from tests.simulation.passing import require_passed
from tests.simulation.shrink import report, shrink

SEEDS = 100
"""As many as take a quarter of a minute."""
passed = partial(require_passed, simulate)
SEEDS_OF_A_TEST = 20


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_OF_A_TEST))
def test_no_schedule_of_faults_breaks_a_guarantee(first: int) -> None:
    for seed in range(first, first + SEEDS_OF_A_TEST):
        passed(plan_of(seed))


def test_the_same_seed_gives_the_same_timeline() -> None:
    first, again = passed(plan_of(2)), passed(plan_of(2))
    assert first.events == again.events
    assert first.events != passed(plan_of(3)).events


def test_a_broken_guarantee_fails_and_is_reported_with_the_faults_that_it_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(CachedOrders, "_clear", lambda _: None)
    needed = Fault(FaultKind.LISTEN_UNREACHABLE, 2.0, 4.0, 0)
    other = Fault(FaultKind.STANDBY_LAGS, 1.0, 0.1, 0)
    failed = simulate(quiet(Layout.SEPARATE, other, needed))
    reduced = shrink(failed, simulate)
    assert reduced.plan.faults == (needed,)
    assert "was requested at" in report(reduced)
    assert "FAULT: 2.0 s: an address for LISTEN is unreachable" in report(reduced)


def test_without_notifications_half_open_connections_for_reads_are_noticed() -> None:
    """As a seed once showed: the API served old orders until a query on one of them timed out, by default for 30 s."""
    listen = Fault(FaultKind.LISTEN_UNREACHABLE, 1.5, 6.0, 0)
    reads = Fault(FaultKind.READS_HALF_OPEN, 2.0, 6.0, 0)
    passed(replace(quiet(Layout.SEPARATE, listen, reads), statement_timeout=9.0, pool_size=8))


def quiet(layout: Layout, *faults: Fault) -> Plan:
    """Return a plan with many commits and only these faults."""
    return Plan(
        seed=1,
        layout=layout,
        heartbeat=0.5,
        max_stale=None,
        max_entries=100,
        warm_up_size=100,
        pool_size=2,
        statement_timeout=2.0,
        replay_lag=0.2,
        clients=3,
        commits_per_second=6.0,
        faults=faults,
    )
