"""Whether a transaction may begin or was committed depends on the topic's current id and the group's commits."""

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from service.errors import GroupChanged
from service.handler.kafka.client.topic_id import NO_TOPIC_ID, TopicId, offsets_to_commit
from service.handler.kafka.dead_letters.transaction_checks import TransactionChecks
from tests.kit.fake_consumer import TOPIC, FakeAdmin, FakeConsumer
from tests.kit.order_partitions import P0, P1, keyed

CURRENT = TopicId("current")

MakeChecks = Callable[[str | None], TransactionChecks]


@pytest.fixture
def kafka() -> FakeConsumer:
    return FakeConsumer()


@pytest.fixture
def make_checks(kafka: FakeConsumer) -> MakeChecks:
    def make(topic_id: str | None) -> TransactionChecks:
        admin: Any = FakeAdmin(topic_id)
        client: Any = kafka
        return TransactionChecks(admin, lambda: client)

    return make


def test_the_topic_is_required_to_have_its_id(make_checks: MakeChecks) -> None:
    make_checks("current").require_topics([TOPIC], {TOPIC: CURRENT})
    with pytest.raises(GroupChanged, match="the topic orders was deleted and created again"):
        make_checks("recreated").require_topics([TOPIC], {TOPIC: CURRENT})


@pytest.mark.parametrize("topic_ids", [{}, {TOPIC: NO_TOPIC_ID}])
def test_a_topic_without_a_known_id_is_not_looked_up(make_checks: MakeChecks, topic_ids: dict[str, TopicId]) -> None:
    checks: Any = make_checks("recreated")
    checks.require_topics([TOPIC], topic_ids)
    assert checks.admin.lookups == 0


def test_an_offset_that_kafka_cannot_return_is_not_taken_as_uncommitted(
    kafka: FakeConsumer, make_checks: MakeChecks
) -> None:
    kafka.committed_errors[1] = KafkaError(KafkaError.NOT_COORDINATOR)
    with pytest.raises(KafkaException, match="NOT_COORDINATOR"):
        make_checks("current").have_committed({P0: 8, P1: 8}, {TOPIC: CURRENT})


@pytest.mark.parametrize(
    ("committed", "topic_id", "expected"),
    [
        ({0: 8, 1: 8}, CURRENT, True),
        ({0: 9, 1: 8}, CURRENT, True),
        ({0: 8, 1: 7}, CURRENT, False),
        ({0: 8}, CURRENT, False),
        ({0: 8, 1: 8}, TopicId("deleted"), False),
        ({0: 8, 1: 8}, NO_TOPIC_ID, True),
    ],
)
def test_offsets_are_committed_if_the_group_has_committed_all_of_them_in_this_topic(
    kafka: FakeConsumer, make_checks: MakeChecks, committed: dict[int, int], topic_id: TopicId, *, expected: bool
) -> None:
    kafka.committed_offsets = {
        each.partition: each for each in offsets_to_commit(keyed(committed), {TOPIC: topic_id}, {})
    }
    assert make_checks(None).have_committed({P0: 8, P1: 8}, {TOPIC: CURRENT}) is expected
    assert kafka.is_closed
