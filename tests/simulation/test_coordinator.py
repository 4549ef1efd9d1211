"""What the checker learns from the coordinator about commits."""

import pytest
from confluent_kafka import TopicPartition

from tests.simulation.coordinator import Coordinator


@pytest.fixture
def coordinator() -> Coordinator:
    coordinator = Coordinator(lambda: [("orders", 0)], 6, 20)
    coordinator.commit([TopicPartition("orders", 0, 53, "topic-id=old")])
    return coordinator


@pytest.mark.parametrize("offset", [53, 54])
def test_a_commit_was_acknowledged_although_the_topic_was_deleted_later(coordinator: Coordinator, offset: int) -> None:
    coordinator.offsets = {}
    commit = TopicPartition("orders", 0, offset, "topic-id=old")
    assert coordinator.has_acknowledged(commit) is (offset == 53)


def test_a_commit_for_a_deleted_topic_is_none_for_its_successor(coordinator: Coordinator) -> None:
    assert not coordinator.has_acknowledged(TopicPartition("orders", 0, 3, "topic-id=new"))


def test_an_earlier_offset_that_is_committed_later_replaces_a_commit(coordinator: Coordinator) -> None:
    coordinator.commit([TopicPartition("orders", 0, 50, "topic-id=old")])
    assert not coordinator.has_acknowledged(TopicPartition("orders", 0, 53, "topic-id=old"))


def test_a_commit_before_the_topic_id_was_known_counts(coordinator: Coordinator) -> None:
    coordinator.commit([TopicPartition("orders", 0, 60)])
    assert coordinator.has_acknowledged(TopicPartition("orders", 0, 60, "topic-id=old"))
