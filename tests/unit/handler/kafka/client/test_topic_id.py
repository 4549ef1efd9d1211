"""A commit belongs to the topic whose id it names."""

import pytest
from confluent_kafka import TopicPartition

from service.entities.partition import Partition
from service.handler.kafka.client.topic_id import NO_TOPIC_ID, TopicId, offsets_to_commit

CURRENT = TopicId("03khuBS4QPyPcMhe5ZSsuQ")


@pytest.mark.parametrize(
    ("metadata", "is_other"),
    [
        (CURRENT.commit_metadata, False),
        (TopicId("another").commit_metadata, True),
        (NO_TOPIC_ID.commit_metadata, False),
        ("by hand", False),
        (None, False),
    ],
)
def test_a_commit_is_of_another_topic_only_if_it_names_its_id(metadata: str | None, *, is_other: bool) -> None:
    committed = TopicPartition("orders", 0, 7) if metadata is None else TopicPartition("orders", 0, 7, metadata)
    assert CURRENT.contradicts(committed) is is_other
    assert not NO_TOPIC_ID.contradicts(committed)


def test_a_broker_without_topic_ids_has_none_to_commit() -> None:
    assert (NO_TOPIC_ID.exists, NO_TOPIC_ID.commit_metadata) == (False, "")
    assert (CURRENT.exists, CURRENT.commit_metadata) == (True, "topic-id=03khuBS4QPyPcMhe5ZSsuQ")


def test_offsets_to_commit_name_their_topic_and_their_leader_epoch_where_they_are_known() -> None:
    offsets = {Partition("orders", 3): 7, Partition("orders.eu", 3): 9, Partition("orders.us", 0): 1}
    targets = offsets_to_commit(
        offsets,
        {"orders": CURRENT, "orders.eu": NO_TOPIC_ID},
        {Partition("orders", 3): 0, Partition("orders.us", 0): None},
    )
    assert [(each.topic, each.partition, each.offset, each.metadata or "", each.leader_epoch) for each in targets] == [
        ("orders", 3, 7, CURRENT.commit_metadata, 0), ("orders.eu", 3, 9, "", None), ("orders.us", 0, 1, "", None),
    ]  # fmt: skip
