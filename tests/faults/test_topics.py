"""Topics are deleted and recreated: the name is the same, but the log and its offsets are new."""

import signal

import pytest

from generator.stream import Plan, stream
from tests.faults.topics import PARTITIONS, create_topics
from tests.faults.workload import DELIVERY, INVALID, Workload
from tests.kit.harness import metric
from tests.kit.processes import Service
from tests.kit.waiting import eventually

BEFORE = 300
AFTER = 1_000
"""Enough that each new partition is longer than the position in the deleted one."""
GAP_SECONDS = 3.0
LONG_SESSION = {"ORDERS_KAFKA__SESSION_TIMEOUT": "30s"}
"""A rebalance would hide the fault, because Kafka drops the committed offsets of a deleted topic."""


@pytest.mark.parametrize("delivery", DELIVERY)
def test_the_topic_is_recreated_while_a_member_is_suspended(workload: Workload, delivery: str) -> None:
    """It only sees a log that is longer than its position."""
    (member,) = workload.members(1, **DELIVERY[delivery], **LONG_SESSION)
    consume_first_topic(workload)
    member.process.send_signal(signal.SIGSTOP)
    recreate(workload)
    workload.produce_messages(stream(plan_after(workload))).wait(30)
    member.process.send_signal(signal.SIGCONT)
    assert_all_read(workload, member, exactly_once=delivery == "exactly-once")


@pytest.mark.parametrize("delivery", DELIVERY)
def test_the_topic_is_deleted_and_recreated_later(workload: Workload, delivery: str) -> None:
    (member,) = workload.members(1, **DELIVERY[delivery], **LONG_SESSION)
    consume_first_topic(workload)
    recreate(workload, GAP_SECONDS)
    workload.produce_messages(stream(plan_after(workload)))
    assert_all_read(workload, member, exactly_once=delivery == "exactly-once")


def test_a_recreated_topic_is_read_before_its_id_is_looked_up(workload: Workload) -> None:
    """The member reads on at the offsets of the deleted topic; their dead letters must not be sent twice."""
    member = workload.start_module("tests.kit.rare_lookups", **DELIVERY["exactly-once"], **LONG_SESSION)
    consume_first_topic(workload)
    member.process.send_signal(signal.SIGSTOP)
    recreate(workload)
    workload.produce_messages(stream(plan_after(workload))).wait(30)
    member.process.send_signal(signal.SIGCONT)
    assert_all_read(workload, member, exactly_once=True)


def test_offsets_of_a_deleted_topic_are_ignored(workload: Workload) -> None:
    """The next member finds committed offsets of the deleted log, one of them beyond the end of the new log."""
    topic_id = workload.topics.topic_id(workload.topic)
    recreate(workload)
    offsets = dict.fromkeys(range(PARTITIONS), BEFORE // PARTITIONS) | {0: AFTER}
    workload.group.commit(offsets, f"topic-id={topic_id}")
    workload.produce_messages(stream(plan_after(workload))).wait(30)
    (member,) = workload.members(1)
    assert_all_read(workload, member)


def plan_after(workload: Workload) -> Plan:
    return Plan(count=AFTER, seed=workload.seed + 1, invalid=INVALID.invalid, duplicates=0.05, stale=0.02, updates=0.05)


def consume_first_topic(workload: Workload) -> None:
    workload.produce_messages(stream(Plan(count=BEFORE, seed=workload.seed)))
    workload.settle()


def recreate(workload: Workload, gap_seconds: float = 0) -> None:
    """Delete and create the topic, and ignore everything sent before."""
    workload.topics.delete(workload.topic)
    if gap_seconds:
        workload.outlast(gap_seconds)
    create_topics(workload.kafka.bootstrap_servers, workload.topic)
    workload.forget_history()


def assert_all_read(workload: Workload, member: Service, *, exactly_once: bool = False) -> None:
    eventually(lambda: metric(member, "orders_topic_recreations_total") > 0, 30, "the recreated topic is noticed")
    # Until then the new log may be read from an offset of the deleted one, to its end, and no lag is seen.
    workload.settle()
    topic_id = workload.topics.topic_id(workload.topic)
    eventually(lambda: workload.group.has_committed_all(topic_id), 60, "the new log is read from its beginning")
    workload.assert_exact(exactly_once=exactly_once)
    assert metric(member, "orders_offsets_skipped_total") == 0
