"""Each topic has an identity of its own: one may be recreated or unreachable while the others are read."""

from typing import TYPE_CHECKING, cast

import pytest
import structlog

from service.handler.kafka.client.consumer_group import ConsumerGroup
from service.handler.kafka.client.topic_id import TopicId
from service.handler.kafka.consumer.topic.id_lookup import TopicIdLookup
from service.handler.kafka.consumer.topic.identity import TopicIdentities, TopicIdentity
from tests.kit.fake_consumer import TOPIC, FakeAdmin
from tests.kit.fakes import FakeClock

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

OTHER = "orders.eu"


class Setup:
    """The identities of two topics."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.admin = FakeAdmin("first")
        self.admin.other_ids[OTHER] = "second"
        self.group = ConsumerGroup((TOPIC, OTHER))
        self.identities = TopicIdentities(
            TopicIdLookup(cast("AdminClient", self.admin), clock),
            lambda topic: TopicIdentity(topic, self.group, structlog.get_logger(), timeout=10, now=clock),
            [TOPIC, OTHER],
        )

    def look_up(self) -> dict[str, TopicId]:
        """Start a lookup and read its answers; return the ids of recreated topics."""
        self.clock.advance(1)
        assert self.identities.fetch_new(()) == {}
        return self.identities.fetch_new(())


@pytest.fixture
def setup(clock: FakeClock) -> Setup:
    return Setup(clock)


def test_the_ids_of_all_topics_are_looked_up_with_one_request(setup: Setup) -> None:
    assert setup.look_up() == {}
    assert setup.group.topic_ids == {TOPIC: TopicId("first"), OTHER: TopicId("second")}
    assert setup.admin.lookups == 1


def test_a_recreated_topic_leaves_the_others_as_they_are(setup: Setup) -> None:
    setup.look_up()
    setup.admin.other_ids[OTHER] = "recreated"
    assert setup.look_up() == {OTHER: TopicId("recreated")}
    setup.identities.of(OTHER).switch(TopicId("recreated"))
    assert setup.group.topic_ids == {TOPIC: TopicId("first"), OTHER: TopicId("recreated")}
    assert [setup.identities.of(each).is_settled for each in (TOPIC, OTHER)] == [True, False]


def test_a_topic_that_is_assigned_later_is_looked_up_too(setup: Setup) -> None:
    setup.admin.other_ids["orders.us"] = "third"
    assert not setup.identities.of("orders.us").is_awaited
    setup.look_up()
    assert setup.group.topic_ids["orders.us"] == TopicId("third")


def test_a_missing_topic_delays_no_other(setup: Setup) -> None:
    del setup.admin.other_ids[OTHER]
    setup.look_up()
    assert [setup.identities.of(each).is_known for each in (TOPIC, OTHER)] == [True, False]


def test_only_the_topic_whose_id_is_fetched_again_is_awaited(setup: Setup) -> None:
    setup.look_up()
    setup.identities.refetch(OTHER)
    assert [setup.identities.of(each).is_awaited for each in (TOPIC, OTHER)] == [False, True]
    setup.look_up()
    assert not setup.identities.of(OTHER).is_awaited
