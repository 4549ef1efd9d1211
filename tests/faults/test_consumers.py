"""Members of the group that die, freeze, come and go in the midst of the stream."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.faults.nemesis import slow
from tests.faults.workload import ENOUGH_SECONDS, FAULTY, MIX, PARTITIONS, wait_assigned
from tests.harness import metric
from tests.waiting import eventually

if TYPE_CHECKING:
    from generator.stream import Plan
    from tests.faults.workload import Workload
    from tests.processes import Service

TAKEN_OVER_SECONDS = 10.0
DYING_AT = {
    "after-decoding": 8,
    "in-the-transaction": 8,
    "after-the-commit": 8,
    "before-dead-letters": 3,
    "after-dead-letters": 3,
}
"""By place, at which passing of it: in the midst of the stream."""
FREEZING_AT = {"in-the-copy": 8, "in-the-transaction": 8}
STORM_TURNS = 3
BEYOND = 3_000
"""More orders than one member can store without those that a frozen one held."""


def test_two_members_and_no_fault_at_all(workload: Workload) -> None:
    members = workload.members()
    workload.send()
    assert workload.assert_exact().again == 0
    assert all(metric(member, "orders_stored_total") > 0 for member in members)


def test_a_member_is_killed_and_started_again(workload: Workload) -> None:
    failpoints, _ = workload.members()
    workload.send(6)
    workload.wait_flow()
    workload.kill(failpoints)
    workload.fault_is_over()
    workload.start()
    workload.assert_exact()
    assert workload.recovery.full < TAKEN_OVER_SECONDS


def test_the_only_member_is_killed_and_started_again(workload: Workload) -> None:
    failpoints = workload.members(1)[0]
    workload.send(6)
    workload.wait_flow()
    workload.kill(failpoints)
    workload.fault_is_over()
    workload.start()
    workload.assert_exact()
    assert workload.recovery.first < TAKEN_OVER_SECONDS


@pytest.mark.parametrize(
    "place",
    [
        "after-decoding",
        "in-the-transaction",
        "after-the-commit",
        "before-dead-letters",
        "after-dead-letters",
    ],
)
def test_a_member_dies(workload: Workload, place: str) -> None:
    workload.members(1)
    failpoints = wait_assigned(workload.doomed(place, DYING_AT[place]))
    send_until_dead(workload, failpoints)
    workload.fault_is_over()
    workload.start()
    workload.assert_exact()


def send_until_dead(workload: Workload, failpoints: Service, plan: Plan = MIX) -> None:
    sender = workload.send(ENOUGH_SECONDS, plan=plan)
    assert failpoints.process.wait(ENOUGH_SECONDS) == -signal.SIGKILL
    sender.stop()


def test_a_member_is_killed_under_the_protocol_consumer(workload: Workload) -> None:
    failpoints, _ = workload.members(ORDERS_KAFKA__GROUP_PROTOCOL="consumer")
    workload.send(6)
    workload.wait_flow()
    workload.kill(failpoints)
    workload.fault_is_over()
    workload.assert_exact()


def test_a_member_is_stopped_in_the_midst_of_a_batch(workload: Workload) -> None:
    leaving, _ = workload.members()
    workload.send(plan=FAULTY)
    workload.wait_flow()
    workload.stop(leaving)
    workload.fault_is_over()
    workload.start()
    assert workload.assert_exact().again == 0


def test_a_member_freezes_until_others_have_its_partitions_and_wakes(workload: Workload) -> None:
    zombie, other = workload.members()
    sender = workload.send(ENOUGH_SECONDS)
    freeze_until_replaced(workload, zombie, other)
    sender.stop()
    workload.assert_exact()


@pytest.mark.parametrize("place", FREEZING_AT)
def test_a_member_freezes_and_wakes(workload: Workload, place: str) -> None:
    """Its locks hold up whoever gets the same orders: for 5 s, or in a COPY for as long as that one waits for locks."""
    is_shortened = place == "in-the-copy" and not workload.is_long
    (other,) = workload.members(1, ORDERS_POSTGRES__LOCK_TIMEOUT="3s" if is_shortened else "10s")
    zombie = wait_assigned(workload.doomed(place, FREEZING_AT[place], "SIGSTOP"))
    sender = workload.send(ENOUGH_SECONDS)
    eventually(lambda: is_frozen(zombie), 30, "it freezes")
    workload.fault_is_over()
    wait_replaced(workload, other)
    zombie.process.send_signal(signal.SIGCONT)
    sender.stop()
    workload.assert_exact()


def is_frozen(service: Service) -> bool:
    return Path(f"/proc/{service.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def freeze_until_replaced(workload: Workload, zombie: Service, other: Service) -> None:
    """Return when the zombie runs again; meanwhile the other one had its partitions, and made progress with them."""
    workload.wait_flow()
    zombie.process.send_signal(signal.SIGSTOP)
    wait_replaced(workload, other)
    zombie.process.send_signal(signal.SIGCONT)
    workload.fault_is_over()


def wait_replaced(workload: Workload, other: Service) -> None:
    """Block until the other one has a frozen member's partitions too, and makes progress with them."""
    eventually(lambda: len(partitions_of(other)) == PARTITIONS, 30, "the other takes over")
    workload.wait_flow(BEYOND)


def partitions_of(member: Service) -> set[int]:
    """Return those that it has by now, by what it logged."""
    owned = set[int]()
    for line in member.log.read_text().splitlines():
        event = msgspec.json.decode(line)
        if event["event"] == "partitions changed":
            changed = set(event["partitions"])
            owned = owned | changed if event["kind"] == "assigned" else owned - changed
    return owned


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_rebalance_storm(workload: Workload, protocol: str) -> None:
    """Each member that joins has one other leave, by turns stopped and killed: the group never comes to rest.

    PostgreSQL is slow enough for a batch to be filled, and so to be taken apart, whenever partitions change hands.
    """
    variables = {"ORDERS_KAFKA__GROUP_PROTOCOL": protocol}
    turns = STORM_TURNS * (13 if workload.is_long else 1)
    members = workload.members(**variables)
    sender = workload.send(turns * ENOUGH_SECONDS)
    with slow(workload, 0.001):
        for turn in range(turns):
            members.append(wait_assigned(workload.start(**variables)))
            leaving = members.pop(0)
            if turn % 3 == 2:
                workload.kill(leaving)
            else:
                workload.stop(leaving)
    sender.stop()
    workload.fault_is_over()
    workload.assert_exact()
