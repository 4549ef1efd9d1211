"""Members of the group that die, freeze, come and go in the midst of the stream."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.faults.arena import FAULTY, MIX, PARTITIONS, wait_assigned
from tests.faults.troubles import slow
from tests.stage import metric
from tests.waiting import eventually

if TYPE_CHECKING:
    from generator.stream import Plan
    from tests.faults.arena import Arena
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
ENOUGH_SECONDS = 90
"""Longer than any session lasts: the stream is stopped when it is no longer needed."""
BEYOND = 3_000
"""More orders than one member can store without those that a frozen one held."""


def test_two_members_and_no_fault_at_all(arena: Arena) -> None:
    members = arena.members()
    arena.send()
    assert arena.assert_exact().again == 0
    assert all(metric(member, "orders_stored_total") > 0 for member in members)


def test_a_member_is_killed_and_started_again(arena: Arena) -> None:
    victim, _ = arena.members()
    arena.send(6)
    arena.wait_flow()
    arena.kill(victim)
    arena.fault_is_over()
    arena.start()
    arena.assert_exact()
    assert arena.recovery.full < TAKEN_OVER_SECONDS


def test_the_only_member_is_killed_and_started_again(arena: Arena) -> None:
    victim = arena.members(1)[0]
    arena.send(6)
    arena.wait_flow()
    arena.kill(victim)
    arena.fault_is_over()
    arena.start()
    arena.assert_exact()
    assert arena.recovery.first < TAKEN_OVER_SECONDS


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
def test_a_member_dies(arena: Arena, place: str) -> None:
    arena.members(1)
    victim = wait_assigned(arena.doomed(place, DYING_AT[place]))
    send_until_dead(arena, victim)
    arena.fault_is_over()
    arena.start()
    arena.assert_exact()


def send_until_dead(arena: Arena, victim: Service, plan: Plan = MIX) -> None:
    sender = arena.send(ENOUGH_SECONDS, plan=plan)
    assert victim.process.wait(ENOUGH_SECONDS) == -signal.SIGKILL
    sender.stop()


def test_a_member_is_killed_under_the_protocol_consumer(arena: Arena) -> None:
    victim, _ = arena.members(ORDERS_KAFKA__GROUP_PROTOCOL="consumer")
    arena.send(6)
    arena.wait_flow()
    arena.kill(victim)
    arena.fault_is_over()
    arena.assert_exact()


def test_a_member_is_stopped_in_the_midst_of_a_batch(arena: Arena) -> None:
    leaving, _ = arena.members()
    arena.send(plan=FAULTY)
    arena.wait_flow()
    arena.stop(leaving)
    arena.fault_is_over()
    arena.start()
    assert arena.assert_exact().again == 0


def test_a_member_freezes_until_others_have_its_partitions_and_wakes(arena: Arena) -> None:
    zombie, other = arena.members()
    sender = arena.send(ENOUGH_SECONDS)
    freeze_until_replaced(arena, zombie, other)
    sender.stop()
    arena.assert_exact()


@pytest.mark.parametrize("place", FREEZING_AT)
def test_a_member_freezes_and_wakes(arena: Arena, place: str) -> None:
    """Its locks hold up whoever gets the same orders: for 5 s, or in a COPY for as long as that one waits for locks."""
    is_shortened = place == "in-the-copy" and not arena.is_long
    (other,) = arena.members(1, ORDERS_POSTGRES__LOCK_TIMEOUT="3s" if is_shortened else "10s")
    zombie = wait_assigned(arena.doomed(place, FREEZING_AT[place], "SIGSTOP"))
    sender = arena.send(ENOUGH_SECONDS)
    eventually(lambda: is_frozen(zombie), 30, "it freezes")
    arena.fault_is_over()
    wait_replaced(arena, other)
    zombie.process.send_signal(signal.SIGCONT)
    sender.stop()
    arena.assert_exact()


def is_frozen(service: Service) -> bool:
    return Path(f"/proc/{service.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def freeze_until_replaced(arena: Arena, zombie: Service, other: Service) -> None:
    """Return when the zombie runs again; meanwhile the other one had its partitions, and made progress with them."""
    arena.wait_flow()
    zombie.process.send_signal(signal.SIGSTOP)
    wait_replaced(arena, other)
    zombie.process.send_signal(signal.SIGCONT)
    arena.fault_is_over()


def wait_replaced(arena: Arena, other: Service) -> None:
    """Block until the other one has a frozen member's partitions too, and makes progress with them."""
    eventually(lambda: len(partitions_of(other)) == PARTITIONS, 30, "the other takes over")
    arena.wait_flow(BEYOND)


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
def test_a_rebalance_storm(arena: Arena, protocol: str) -> None:
    """Each member that joins has one other leave, by turns stopped and killed: the group never comes to rest.

    PostgreSQL is slow enough for a batch to be filled, and so to be taken apart, whenever partitions change hands.
    """
    variables = {"ORDERS_KAFKA__GROUP_PROTOCOL": protocol}
    turns = STORM_TURNS * (13 if arena.is_long else 1)
    members = arena.members(**variables)
    sender = arena.send(turns * ENOUGH_SECONDS)
    with slow(arena, 0.001):
        for turn in range(turns):
            members.append(wait_assigned(arena.start(**variables)))
            leaving = members.pop(0)
            if turn % 3 == 2:
                arena.kill(leaving)
            else:
                arena.stop(leaving)
    sender.stop()
    arena.fault_is_over()
    arena.assert_exact()
