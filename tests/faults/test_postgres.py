"""PostgreSQL is stopped, killed, suspended, read-only, slow or full while orders arrive."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.faults.nemesis import locking_in_reverse, read_only, rejecting, slow_writes, stopped, suspended
from tests.faults.workload import MIX, STREAM_SECONDS, Workload, wait_assigned
from tests.kit.harness import metric
from tests.kit.processes import Service
from tests.kit.waiting import eventually

CHANGING = replace(MIX, updates=0.4)
POLL_SECONDS = 5
"""`max.poll.interval.ms` where the outage is not extended; a member that polls less often leaves the group."""
SMALL_BATCH = "200"
"""Full at once, so that the member waits for room during the whole outage."""


def retries(members: Sequence[Service], code: str = "") -> float:
    """Return the number of retries of all members, optionally of one SQLSTATE class."""
    labels = {"sqlstate_class": code} if code else {}
    return sum(metric(member, "orders_retries_total", **labels) for member in members)


def wait_retries(members: Sequence[Service], code: str = "") -> None:
    eventually(lambda: retries(members, code) > 0, 30, f"retries of class {code}")


def test_postgresql_is_killed_twice(workload: Workload) -> None:
    workload.members()
    sender = workload.send(STREAM_SECONDS)
    for _ in range(2):
        workload.wait_stored()
        workload.postgres.kill()
        workload.postgres.start()
    workload.fault_ended()
    sender.stop()
    assert workload.assert_exact().repeated == 0


def test_postgresql_is_restarted(workload: Workload) -> None:
    workload.members()
    workload.send()
    workload.wait_stored()
    with stopped(workload.postgres):
        pass
    workload.fault_ended()
    assert workload.assert_exact().repeated == 0


def test_postgresql_is_down_for_longer_than_max_poll_interval(workload: Workload) -> None:
    """Six minutes if extended, with librdkafka's default of five; otherwise both are shorter."""
    interval = 300 if workload.is_extended else POLL_SECONDS
    properties = f'{{"max.poll.interval.ms": {interval * 1000}}}'
    members = workload.members(ORDERS_KAFKA__PROPERTIES=properties, ORDERS_BATCH__MAX_MESSAGES=SMALL_BATCH)
    workload.send(10)
    workload.wait_stored()
    assigned = sum(metric(member, "orders_rebalances_total") for member in members)
    with stopped(workload.postgres):
        workload.outlast((1.2 if workload.is_extended else 1.6) * interval)
    workload.fault_ended()
    assert workload.assert_exact().repeated == 0
    assert sum(metric(member, "orders_rebalances_total") for member in members) == assigned


def test_a_member_joins_while_postgresql_is_down_and_leaves_afterwards(workload: Workload) -> None:
    """The remaining member had paused the partitions that it gave up, and must resume them when they return."""
    [staying] = workload.members(1)
    workload.send(10)
    workload.wait_stored()
    with stopped(workload.postgres):
        eventually(lambda: "fetching is paused" in staying.tail(), 30, "fetching is paused")
        joining = wait_assigned(workload.start())
    eventually(lambda: "fetching is resumed" in staying.tail(), 30, "fetching is resumed")
    workload.stop(joining)
    workload.fault_ended()
    workload.assert_exact()


def test_a_member_is_stopped_while_postgresql_is_down(workload: Workload) -> None:
    leaving, staying = workload.members()
    workload.send()
    workload.wait_stored()
    with stopped(workload.postgres):
        wait_retries([leaving])
        wait_retries([staying])
        workload.stop(leaving)
    workload.fault_ended()
    assert workload.assert_exact().repeated == 0


def test_postgresql_hangs_with_open_connections(workload: Workload) -> None:
    """The client's deadline, five seconds after the statement timeout, ends the wait."""
    members = workload.members(ORDERS_POSTGRES__STATEMENT_TIMEOUT="1s")
    workload.send()
    workload.wait_stored()
    with suspended(workload.postgres):
        wait_retries(members, "none")
    workload.fault_ended()
    assert workload.assert_exact().repeated == 0


@pytest.mark.parametrize("point", ["during-copy", "before-commit", "after-commit"])
def test_the_connection_to_postgresql_is_reset(workload: Workload, point: str) -> None:
    """If the response to a commit is lost, the batch is written again, which must change nothing."""
    members = workload.members(ORDERS_POSTGRES__PREPARED_STATEMENTS="false", **workload.through_proxies)
    sender = workload.send(STREAM_SECONDS)
    for _ in range(3):
        workload.wait_stored(300)
        reset_at(workload, point)
    workload.fault_ended()
    sender.stop()
    assert workload.assert_exact().repeated == 0
    assert retries(members) >= 3


def reset_at(workload: Workload, point: str) -> None:
    """Reset the next connection that reaches this point, and block until that has happened."""
    proxy = workload.postgres_proxy
    if point == "after-commit":
        proxy.reset_after = b"COMMIT"
    else:
        proxy.reset_before = b"COMMIT" if point == "before-commit" else b"WBIL"  # the prefix of every track number
    eventually(lambda: proxy.reset_before is None and proxy.reset_after is None, 30, "a connection is reset")


def test_postgresql_fails_over_to_a_read_only_server(workload: Workload) -> None:
    """A connection to the demoted server must be closed."""
    members = workload.members()
    workload.send()
    workload.wait_stored()
    with read_only(workload):
        wait_retries(members, "25")
    workload.fault_ended()
    assert workload.assert_exact().repeated == 0


@pytest.mark.parametrize("code", ["53100", "57P03"])
def test_postgresql_fails_temporarily_with(workload: Workload, code: str) -> None:
    """A full disk (53100) and a starting server (57P03) are not the order's fault."""
    members = workload.members()
    workload.send()
    workload.wait_stored(500)
    with rejecting(workload, "true", code, on="items"):
        wait_retries(members, code[:2])
    workload.fault_ended()
    assert workload.assert_exact().repeated == 0


def test_batches_take_longer_than_the_statement_timeout(workload: Workload) -> None:
    workload.send(2).wait(30)
    with slow_writes(workload, 0.001):
        members = workload.members(ORDERS_POSTGRES__STATEMENT_TIMEOUT="300ms")
        wait_retries(members, "57")
        workload.wait_stored(300)
    workload.fault_ended()
    assert workload.assert_exact().repeated == 0


def test_another_transaction_locks_orders_in_reverse_order(workload: Workload) -> None:
    """Consumers lock orders by ascending id and cannot deadlock each other; other clients can."""
    members = workload.members()
    workload.send(4, plan=CHANGING)
    workload.wait_stored(200)
    with locking_in_reverse(workload):
        wait_retries(members, "40")
    workload.fault_ended()
    assert workload.assert_exact().repeated == 0
