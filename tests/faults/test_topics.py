"""Topics that are deleted and created again: the name stays, the log is another one, and so are its offsets."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from generator.stream import Plan, stream
from tests.faults.arena import DELIVERY, FAULTY, PARTITIONS, create_topics
from tests.stage import metric
from tests.waiting import eventually

if TYPE_CHECKING:
    from tests.faults.arena import Arena
    from tests.processes import Service

BEFORE = 300
AFTER = 1_000
"""Enough for each partition to be longer than the position in the deleted one."""
GAP_SECONDS = 3.0
LONG_SESSION = {"ORDERS_KAFKA__SESSION_TIMEOUT": "30s"}
"""A rebalance would have the member begin anew in any case: Kafka forgets the offsets of a topic that is deleted."""


@pytest.mark.parametrize("delivery", DELIVERY)
def test_the_topic_is_created_again_behind_the_back_of_a_member(arena: Arena, delivery: str) -> None:
    """It sees nothing but a log that is longer than what it has read."""
    (member,) = arena.members(1, **DELIVERY[delivery], **LONG_SESSION)
    read_a_log(arena)
    member.process.send_signal(signal.SIGSTOP)
    create_again(arena)
    arena.send_these(stream(plan_after(arena))).wait(30)
    member.process.send_signal(signal.SIGCONT)
    assert_all_read(arena, member, exactly_once=delivery == "exactly-once")


@pytest.mark.parametrize("delivery", DELIVERY)
def test_the_topic_is_gone_for_a_while(arena: Arena, delivery: str) -> None:
    (member,) = arena.members(1, **DELIVERY[delivery], **LONG_SESSION)
    read_a_log(arena)
    create_again(arena, GAP_SECONDS)
    arena.send_these(stream(plan_after(arena)))
    assert_all_read(arena, member, exactly_once=delivery == "exactly-once")


def test_a_member_commits_for_the_deleted_log_before_it_is_killed(arena: Arena) -> None:
    """The next one finds offsets in the topic that are of another log."""
    topic_id = arena.topic_id()
    create_again(arena)
    arena.commit(dict.fromkeys(range(PARTITIONS), BEFORE // PARTITIONS), f"topic-id={topic_id}")
    arena.send_these(stream(plan_after(arena))).wait(30)
    (member,) = arena.members(1)
    assert_all_read(arena, member)


def plan_after(arena: Arena) -> Plan:
    return Plan(count=AFTER, seed=arena.seed + 1, invalid=FAULTY.invalid, duplicates=0.05, stale=0.02, updates=0.05)


def read_a_log(arena: Arena) -> None:
    arena.send_these(stream(Plan(count=BEFORE, seed=arena.seed)))
    arena.settle()


def create_again(arena: Arena, gap_seconds: float = 0) -> None:
    """Nothing is known of what was read before, when this returns."""
    arena.delete_topic(arena.topic)
    if gap_seconds:
        arena.elapse(gap_seconds)
    create_topics(arena.kafka.bootstrap_servers, arena.topic)
    arena.start_over()


def assert_all_read(arena: Arena, member: Service, *, exactly_once: bool = False) -> None:
    eventually(lambda: metric(member, "orders_topic_recreations_total") > 0, 30, "it is noticed")
    arena.assert_exact(exactly_once=exactly_once)
