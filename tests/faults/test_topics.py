"""Topics that are deleted and created again: the name stays, the log is another one, and so are its offsets."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from generator.stream import Plan, stream
from tests.faults.workload import DELIVERY, FAULTY, PARTITIONS, create_topics
from tests.harness import metric
from tests.waiting import eventually

if TYPE_CHECKING:
    from tests.faults.workload import Workload
    from tests.processes import Service

BEFORE = 300
AFTER = 1_000
"""Enough for each partition to be longer than the position in the deleted one."""
GAP_SECONDS = 3.0
LONG_SESSION = {"ORDERS_KAFKA__SESSION_TIMEOUT": "30s"}
"""A rebalance would have the member begin anew in any case: Kafka forgets the offsets of a topic that is deleted."""


@pytest.mark.parametrize("delivery", DELIVERY)
def test_the_topic_is_created_again_behind_the_back_of_a_member(workload: Workload, delivery: str) -> None:
    """It sees nothing but a log that is longer than what it has read."""
    (member,) = workload.members(1, **DELIVERY[delivery], **LONG_SESSION)
    read_a_log(workload)
    member.process.send_signal(signal.SIGSTOP)
    create_again(workload)
    workload.send_these(stream(plan_after(workload))).wait(30)
    member.process.send_signal(signal.SIGCONT)
    assert_all_read(workload, member, exactly_once=delivery == "exactly-once")


@pytest.mark.parametrize("delivery", DELIVERY)
def test_the_topic_is_gone_for_a_while(workload: Workload, delivery: str) -> None:
    (member,) = workload.members(1, **DELIVERY[delivery], **LONG_SESSION)
    read_a_log(workload)
    create_again(workload, GAP_SECONDS)
    workload.send_these(stream(plan_after(workload)))
    assert_all_read(workload, member, exactly_once=delivery == "exactly-once")


def test_a_member_commits_for_the_deleted_log_before_it_is_killed(workload: Workload) -> None:
    """The next one finds offsets in the topic that are of another log."""
    topic_id = workload.topic_id()
    create_again(workload)
    workload.commit(dict.fromkeys(range(PARTITIONS), BEFORE // PARTITIONS), f"topic-id={topic_id}")
    workload.send_these(stream(plan_after(workload))).wait(30)
    (member,) = workload.members(1)
    assert_all_read(workload, member)


def plan_after(workload: Workload) -> Plan:
    return Plan(count=AFTER, seed=workload.seed + 1, invalid=FAULTY.invalid, duplicates=0.05, stale=0.02, updates=0.05)


def read_a_log(workload: Workload) -> None:
    workload.send_these(stream(Plan(count=BEFORE, seed=workload.seed)))
    workload.settle()


def create_again(workload: Workload, gap_seconds: float = 0) -> None:
    """Nothing is known of what was read before, when this returns."""
    workload.delete_topic(workload.topic)
    if gap_seconds:
        workload.elapse(gap_seconds)
    create_topics(workload.kafka.bootstrap_servers, workload.topic)
    workload.start_over()


def assert_all_read(workload: Workload, member: Service, *, exactly_once: bool = False) -> None:
    eventually(lambda: metric(member, "orders_topic_recreations_total") > 0, 30, "it is noticed")
    # Until then the new log may be read from an offset of the deleted one, to its end, and no lag is seen.
    workload.settle()
    eventually(workload.is_read_to_the_end, 60, "the new log is read from its beginning")
    workload.assert_exact(exactly_once=exactly_once)
