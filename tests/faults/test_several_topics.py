"""Members read two topics that contain the same orders: of two versions, the later timestamp wins."""

from dataclasses import replace

import pytest

from generator.stream import stream
from tests.faults.nemesis import slow_writes
from tests.faults.workload import DELIVERY, MIX, RATE, Workload, wait_assigned

SECONDS = 6


@pytest.fixture
def two_topics(workload: Workload) -> Workload:
    workload.add_topic()
    return workload


def send_to_each_topic(workload: Workload) -> None:
    """Produce the same stream to each topic in the background, together at the usual rate."""
    rate = RATE / len(workload.order_topics)
    plan = replace(MIX, count=int(SECONDS * rate), seed=workload.seed)
    for topic in workload.order_topics:
        workload.produce_messages(stream(plan), rate, topic)


@pytest.mark.parametrize("delivery", DELIVERY)
def test_a_member_that_reads_two_topics_is_killed(two_topics: Workload, delivery: str) -> None:
    killed, _ = two_topics.members(**DELIVERY[delivery])
    send_to_each_topic(two_topics)
    two_topics.wait_stored()
    two_topics.kill(killed)
    two_topics.fault_ended()
    two_topics.start(**DELIVERY[delivery])
    two_topics.assert_exact(exactly_once=delivery == "exactly-once")


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_two_topics_are_rebalanced(two_topics: Workload, protocol: str) -> None:
    """A member joins and another one leaves while PostgreSQL is slow, so that both rebalances find open batches."""
    variables = {"ORDERS_KAFKA__GROUP_PROTOCOL": protocol}
    leaving, _ = two_topics.members(**variables)
    send_to_each_topic(two_topics)
    with slow_writes(two_topics, 0.001):
        wait_assigned(two_topics.start(**variables))
        two_topics.stop(leaving)
    two_topics.fault_ended()
    two_topics.assert_exact()
