"""Lookups of the topic's id recover when the broker that answered them is dead."""

from typing import TYPE_CHECKING, cast

import pytest
from confluent_kafka import KafkaError, KafkaException

from service.handler.kafka.client.topic_id import TopicId
from service.handler.kafka.consumer.topic.id_lookup import TopicIdLookup
from tests.kit.fake_consumer import TOPIC, FakeAdmin
from tests.kit.fakes import FakeClock

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient


@pytest.mark.parametrize(
    ("code", "metadata_requests"), [(KafkaError._TIMED_OUT, 1), (KafkaError.TOPIC_AUTHORIZATION_FAILED, 0)]
)
def test_a_lookup_that_timed_out_makes_the_client_look_for_another_controller(
    code: int, metadata_requests: int, clock: FakeClock
) -> None:
    admin = FakeAdmin("topic-id")
    admin.answers.append(KafkaError(code))
    lookup = TopicIdLookup(cast("AdminClient", admin), clock)
    assert lookup.take_answers([TOPIC]) == {}
    (failure,) = lookup.take_answers([TOPIC]).values()
    assert isinstance(failure, KafkaException)
    assert admin.metadata_requests == metadata_requests
    clock.advance(1)
    assert [lookup.take_answers([TOPIC]) for _ in range(2)] == [{}, {TOPIC: TopicId("topic-id")}]
