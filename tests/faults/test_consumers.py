"""Members of the group are killed, suspended, stopped and started while orders arrive."""

import signal
from pathlib import Path

import msgspec
import pytest

from generator.stream import Plan
from tests.faults.nemesis import slow_writes
from tests.faults.topics import PARTITIONS
from tests.faults.workload import INVALID, MIX, STREAM_SECONDS, Workload, wait_assigned
from tests.kit.harness import metric
from tests.kit.processes import Service
from tests.kit.waiting import eventually

TAKEOVER_SECONDS = 10.0
KILL_AT = {
    "after-decoding": 8,
    "before-commit": 8,
    "after-commit": 8,
    "before-dead-letters": 3,
    "after-dead-letters": 3,
}
"""How often a failpoint is reached first, so that the stream is in progress."""
SUSPEND_AT = {"during-copy": 8, "before-commit": 8}
STORM_ROUNDS = 3
MORE_THAN_ITS_SHARE = 3_000
"""More orders than one member can store without the partitions of the suspended one."""


def test_two_members_without_a_fault(workload: Workload) -> None:
    members = workload.members()
    workload.send()
    assert workload.assert_exact().repeated == 0
    assert all(metric(member, "orders_stored_total") > 0 for member in members)


def test_a_member_is_killed_and_restarted(workload: Workload) -> None:
    killed, _ = workload.members()
    workload.send(6)
    workload.wait_stored()
    workload.kill(killed)
    workload.fault_ended()
    workload.start()
    workload.assert_exact()
    assert workload.recovery.full < TAKEOVER_SECONDS


def test_the_only_member_is_killed_and_restarted(workload: Workload) -> None:
    killed = workload.members(1)[0]
    workload.send(6)
    workload.wait_stored()
    workload.kill(killed)
    workload.fault_ended()
    workload.start()
    workload.assert_exact()
    assert workload.recovery.first < TAKEOVER_SECONDS


@pytest.mark.parametrize(
    "place",
    [
        "after-decoding",
        "before-commit",
        "after-commit",
        "before-dead-letters",
        "after-dead-letters",
    ],
)
def test_a_member_is_killed_at_a_failpoint(workload: Workload, place: str) -> None:
    workload.members(1)
    killed = wait_assigned(workload.start_with_failpoint(place, KILL_AT[place]))
    send_until_killed(workload, killed)
    workload.fault_ended()
    workload.start()
    workload.assert_exact()


def send_until_killed(workload: Workload, killed: Service, plan: Plan = MIX) -> None:
    sender = workload.send(STREAM_SECONDS, plan=plan)
    assert killed.process.wait(STREAM_SECONDS) == -signal.SIGKILL
    sender.stop()


def test_a_member_is_killed_with_group_protocol_consumer(workload: Workload) -> None:
    killed, _ = workload.members(ORDERS_KAFKA__GROUP_PROTOCOL="consumer")
    workload.send(6)
    workload.wait_stored()
    workload.kill(killed)
    workload.fault_ended()
    workload.assert_exact()


def test_a_member_is_stopped_during_a_batch(workload: Workload) -> None:
    leaving, _ = workload.members()
    workload.send(plan=INVALID)
    workload.wait_stored()
    workload.stop(leaving)
    workload.fault_ended()
    workload.start()
    assert workload.assert_exact().repeated == 0


def test_a_member_is_suspended_until_its_partitions_are_reassigned(workload: Workload) -> None:
    suspended, other = workload.members()
    sender = workload.send(STREAM_SECONDS)
    suspend_until_replaced(workload, suspended, other)
    sender.stop()
    workload.assert_exact()


@pytest.mark.parametrize("place", SUSPEND_AT)
def test_a_member_is_suspended_at_a_failpoint(workload: Workload, place: str) -> None:
    """Its locks block the member that gets the same orders for 5 s, or during a COPY until the lock timeout."""
    is_shortened = place == "during-copy" and not workload.is_extended
    (other,) = workload.members(1, ORDERS_POSTGRES__LOCK_TIMEOUT="3s" if is_shortened else "10s")
    suspended = wait_assigned(workload.start_with_failpoint(place, SUSPEND_AT[place], "SIGSTOP"))
    sender = workload.send(STREAM_SECONDS)
    eventually(lambda: is_suspended(suspended), 30, "the member is suspended")
    workload.fault_ended()
    wait_replaced(workload, other)
    suspended.process.send_signal(signal.SIGCONT)
    sender.stop()
    workload.assert_exact()


def is_suspended(service: Service) -> bool:
    return Path(f"/proc/{service.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def suspend_until_replaced(workload: Workload, member: Service, other: Service) -> None:
    """Suspend a member until the other has its partitions and has made progress with them, then resume it."""
    workload.wait_stored()
    member.process.send_signal(signal.SIGSTOP)
    wait_replaced(workload, other)
    member.process.send_signal(signal.SIGCONT)
    workload.fault_ended()


def wait_replaced(workload: Workload, other: Service) -> None:
    """Block until the other member has all partitions and makes progress with them."""
    eventually(lambda: len(partitions_of(other)) == PARTITIONS, 30, "the other member has all partitions")
    workload.wait_stored(MORE_THAN_ITS_SHARE)


def partitions_of(member: Service) -> set[str]:
    """Return the member's partitions, according to its log."""
    owned = set[str]()
    for line in member.log.read_text().splitlines():
        event = msgspec.json.decode(line)
        if event["event"] == "partitions changed":
            changed = set(event["partitions"])
            owned = owned | changed if event["kind"] == "assigned" else owned - changed
    return owned


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_rebalance_storm(workload: Workload, protocol: str) -> None:
    """For each member that joins, another leaves: two in three are stopped, the third is killed.

    PostgreSQL is slow, so that every rebalance finds an open batch.
    """
    variables = {"ORDERS_KAFKA__GROUP_PROTOCOL": protocol}
    rounds = STORM_ROUNDS * (13 if workload.is_extended else 1)
    members = workload.members(**variables)
    sender = workload.send(rounds * STREAM_SECONDS)
    with slow_writes(workload, 0.001):
        for number in range(rounds):
            members.append(wait_assigned(workload.start(**variables)))
            leaving = members.pop(0)
            if number % 3 == 2:
                workload.kill(leaving)
            else:
                workload.stop(leaving)
    sender.stop()
    workload.fault_ended()
    workload.assert_exact()
