"""A dead-letter topic that is missing, takes nothing or too little, and floods that must not reach it."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from generator.stream import Plan, stream
from tests.faults.arena import MIX
from tests.stage import metric
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.faults.arena import Arena
    from tests.processes import Service

FLOOD = 2_500
WINDOW = 1_000
"""What the circuit breaker looks at before it may open."""
SMALL_BYTES = 2_000


def wait_refused(members: Sequence[Service]) -> None:
    eventually(
        lambda: sum(metric(each, "orders_dead_letter_retries_total") for each in members) > 0, 60, "letters are refused"
    )


def test_the_dead_letter_topic_is_missing(arena: Arena) -> None:
    arena.delete_topic(arena.dead_letter_topic)
    members = arena.members()
    arena.send()
    wait_refused(members)
    assert arena.committed() < arena.produced()
    arena.create_topic(arena.dead_letter_topic)
    arena.fault_is_over()
    assert arena.assert_exact().again == 0


def test_the_dead_letter_topic_takes_no_message(arena: Arena) -> None:
    members = arena.members()
    with arena.forbidden(arena.dead_letter_topic):
        arena.send()
        wait_refused(members)
        assert arena.committed() < arena.produced()
    arena.fault_is_over()
    assert arena.assert_exact().again == 0


def test_the_dead_letter_topic_takes_small_messages_alone(arena: Arena) -> None:
    arena.configure_topic(arena.dead_letter_topic, "max.message.bytes", SMALL_BYTES)
    arena.members()
    arena.send()
    arena.assert_exact()
    assert any(b"original_offset" in (letter.value() or b"") for letter in arena.letters())


def test_a_flood_of_bad_messages_is_let_through_by_hand(arena: Arena) -> None:
    """The circuit breaker is open with hardly more than its window in the topic; whoever turns it off gets the rest."""
    good, bad = Plan(count=1_000, seed=arena.seed), Plan(count=FLOOD, seed=arena.seed + 1, invalid=1)
    members = arena.members(1)
    arena.send_these(chain(stream(good), stream(bad)))
    eventually(lambda: metric(members[0], "orders_circuit_breaker_open") == 1, 60, "the circuit breaker is open")
    assert len(arena.letters()) < WINDOW
    assert arena.committed() < arena.produced()
    arena.stop(members[0])
    arena.members(1, ORDERS_CIRCUIT_BREAKER__ENABLED="false")
    assert arena.assert_exact().dead_lettered == FLOOD


def test_a_flood_of_bad_messages_ends_by_itself(arena: Arena) -> None:
    """What the circuit breaker tries, a few messages at a time, is dead-lettered; with the first good ones it lets go."""
    flood = Plan(count=WINDOW + 200, seed=arena.seed + 1, invalid=1)
    at_a_time = "10" if arena.is_long else "50"
    member = arena.members(
        1, ORDERS_CIRCUIT_BREAKER__RETRY_AFTER="20ms", ORDERS_CIRCUIT_BREAKER__PROBE_MESSAGES=at_a_time
    )[0]
    arena.send_these(stream(flood))
    eventually(lambda: metric(member, "orders_circuit_breaker_open") == 1, 60, "the circuit breaker is open")
    arena.send_these(stream(replace(MIX, count=2_000, seed=arena.seed)))
    arena.fault_is_over()
    arena.assert_exact()
    assert metric(member, "orders_circuit_breaker_open") == 0
