"""A recreated topic is read from its beginning; until a position is verified, its messages are withheld."""

from typing import TYPE_CHECKING, Any, cast

import pytest
import structlog
from confluent_kafka import OFFSET_BEGINNING, KafkaError, TopicPartition
from structlog.testing import capture_logs

from service.entities.partition import Partition
from service.handler.kafka.client.consumer_group import ConsumerGroup
from service.handler.kafka.client.topic_id import NO_TOPIC_ID, TopicId
from service.handler.kafka.consumer.topic.id_lookup import TopicIdLookup
from service.handler.kafka.consumer.topic.identity import TopicIdentities, TopicIdentity
from service.handler.kafka.consumer.topic.position_check import PositionCheck
from service.metrics import ConsumerMetrics
from service.pkg.log_throttle import LOG_INTERVAL_SECONDS
from tests.kit.fake_consumer import TOPIC, FakeAdmin, FakeConsumer
from tests.kit.fakes import FakeClock
from tests.kit.order_partitions import P0, P1, P2, keyed

if TYPE_CHECKING:
    from confluent_kafka import Consumer
    from confluent_kafka.admin import AdminClient

OLD, NEW = "old-topic-id", "new-topic-id"
NO_ID = "AAAAAAAAAAAAAAAAAAAAAA"
SETTLED_SECONDS = 1.0
ID_TIMEOUT_SECONDS = 10


class Setup:
    """The identity of a topic with ten records in partitions 0 and 1, and what it uses."""

    def __init__(self, kafka: FakeConsumer, admin: FakeAdmin, metrics: ConsumerMetrics, clock: FakeClock) -> None:
        self.kafka = kafka
        self.admin = admin
        self.metrics = metrics
        self.clock = clock
        self.group = ConsumerGroup((TOPIC,))
        consumer, log = cast("Consumer", kafka), structlog.get_logger()
        identities = TopicIdentities(
            TopicIdLookup(cast("AdminClient", admin), clock),
            lambda topic: TopicIdentity(topic, self.group, log, timeout=ID_TIMEOUT_SECONDS, now=clock),
            [TOPIC],
        )
        self.check = PositionCheck(
            client=consumer, identities=identities, metrics=metrics.consumption, log=log, now=clock
        )
        for partition in (0, 1):
            kafka.append(partition, *[b""] * 10)

    def commit(self, offset: int, topic_id: str | None, *partitions: int) -> None:
        metadata = f"topic-id={topic_id}" if topic_id else ""
        self.kafka.committed_offsets |= {each: TopicPartition(TOPIC, each, offset, metadata) for each in partitions}

    def assign(self, *partitions: int) -> None:
        self.kafka.incremental_assign([TopicPartition(TOPIC, each) for each in partitions])
        self.check.add(keyed(dict.fromkeys(partitions)))

    def know(self, topic_id: str) -> None:
        """Fetch the topic's id for the first time."""
        self.admin.answers.append(topic_id)
        assert self.look_up() is None
        assert self.topic_id == (NO_TOPIC_ID if topic_id == NO_ID else TopicId(topic_id))

    def look_up(self) -> TopicId | None:
        """Start a lookup and read its answer, as two polls do."""
        self.clock.advance(1)
        assert self.check.fetch_new_topic_ids() == {}
        return self.check.fetch_new_topic_ids().get(TOPIC)

    @property
    def topic_id(self) -> TopicId | None:
        return self.group.topic_ids.get(TOPIC)

    def receive(self, count: int = 100) -> list[tuple[int, int]]:
        """Return partition and offset of the messages that are not withheld."""
        messages: list[Any] = self.check.withhold_unverified(self.kafka.consume(count, 0))
        return [(each.partition(), each.offset()) for each in messages]

    @property
    def recreations(self) -> float | None:
        return self.metrics.registry.get_sample_value("orders_topic_recreations_total")


@pytest.fixture
def setup(kafka: FakeConsumer, metrics: ConsumerMetrics, clock: FakeClock) -> Setup:
    return Setup(kafka, FakeAdmin(), metrics, clock)


def test_messages_are_withheld_until_their_position_is_verified_and_then_read_again(setup: Setup) -> None:
    setup.commit(7, NEW, 0)
    setup.assign(0)
    assert setup.receive(1) == []
    assert setup.check.verify() == []
    assert setup.receive(1) == []
    setup.know(NEW)
    assert setup.check.verify() == []
    assert setup.receive() == [(0, 7), (0, 8), (0, 9)]
    assert setup.check.is_verified(P0)


@pytest.mark.parametrize("topic_id", [None, NEW])
def test_a_commit_without_an_id_is_trusted_like_one_with_the_current_id(setup: Setup, topic_id: str | None) -> None:
    setup.commit(7, topic_id, 0)
    setup.know(NEW)
    setup.assign(0)
    setup.check.mark_position_known([P0])
    setup.clock.advance(SETTLED_SECONDS)
    assert setup.check.verify() == []
    assert (setup.receive(1), setup.recreations) == ([(0, 7)], 0)


def test_a_position_in_a_deleted_topic_is_moved_to_the_beginning(setup: Setup) -> None:
    setup.commit(7, OLD, 0)
    setup.commit(5, NEW, 1)
    setup.assign(0, 1)
    assert setup.receive() == []
    setup.know(NEW)
    assert setup.check.verify() == []  # brokers know the id shortly before they serve the topic
    assert [setup.check.is_verified(each) for each in (P0, P1)] == [False, True]
    setup.clock.advance(SETTLED_SECONDS)
    with capture_logs() as logs:
        moved = setup.check.verify()
    assert [(each.partition, each.offset) for each in moved] == [(0, OFFSET_BEGINNING)]
    assert setup.kafka.positions == {0: 0, 1: 5}
    assert setup.recreations == 1
    assert logs == [
        {
            "event": "the topic was deleted and created again: it is read from its beginning", "log_level": "error",
            "topic": TOPIC, "topic_id": NEW, "partitions": [0],
        }
    ]  # fmt: skip


def test_offsets_are_queried_only_once_the_client_has_a_position(setup: Setup) -> None:
    setup.know(NEW)
    setup.commit(7, OLD, 0)
    setup.assign(0)
    setup.clock.advance(SETTLED_SECONDS)
    assert setup.check.verify() == []
    setup.check.mark_position_known([P0, P1])
    assert [each.partition for each in setup.check.verify()] == [0]


def test_a_recreated_topic_is_noticed_while_it_is_read(setup: Setup) -> None:
    setup.know(OLD)
    setup.commit(3, OLD, 0)
    setup.assign(0)
    setup.check.mark_position_known([P0])
    setup.check.verify()
    assert setup.receive(2) == [(0, 3), (0, 4)]
    setup.admin.answers.append(NEW)
    assert setup.look_up() == TopicId(NEW)
    setup.check.switch_topic(TOPIC, TopicId(NEW), [P0])
    assert (setup.topic_id, setup.receive()) == (TopicId(NEW), [])
    assert setup.check.verify() == []
    setup.clock.advance(SETTLED_SECONDS)
    assert [each.offset for each in setup.check.verify()] == [OFFSET_BEGINNING]
    assert setup.receive(1) == [(0, 0)]


def test_partitions_of_other_topics_are_still_withheld_after_a_topic_was_recreated(setup: Setup) -> None:
    other = Partition("other", 0)
    setup.check.add([other])
    setup.check.add([P1])
    assert {*setup.check.unverified} == {other, P1}
    setup.check.switch_topic(TOPIC, TopicId(NEW), [P0])
    assert {*setup.check.unverified} == {P0, P1, other}


def test_an_unchanged_topic_is_looked_up_once_a_second(setup: Setup) -> None:
    setup.know(NEW)
    setup.admin.answers.append(NEW)
    assert setup.look_up() is None
    setup.clock.advance(0.9)
    assert setup.check.fetch_new_topic_ids() == {}
    assert setup.admin.lookups == 2
    setup.clock.advance(0.1)
    assert setup.check.fetch_new_topic_ids() == {}
    assert setup.admin.lookups == 3
    assert setup.check.fetch_new_topic_ids() == {}  # a lookup without an answer
    assert setup.admin.lookups == 3


def test_a_position_out_of_range_is_looked_up_at_once(setup: Setup) -> None:
    setup.know(NEW)
    setup.assign(0)
    setup.admin.answers.append(NEW)
    setup.check.on_out_of_range(P0)
    assert not setup.check.is_verified(P1)
    setup.check.fetch_new_topic_ids()
    setup.check.fetch_new_topic_ids()
    assert (setup.admin.lookups, setup.check.is_verified(P1)) == (2, True)


def test_a_position_out_of_range_may_belong_to_a_deleted_topic(setup: Setup) -> None:
    setup.know(NEW)
    setup.commit(99, OLD, 0)
    setup.assign(0)
    setup.clock.advance(SETTLED_SECONDS)
    setup.check.on_out_of_range(P0)
    assert [(each.partition, each.offset) for each in setup.check.verify()] == [(0, OFFSET_BEGINNING)]


def test_without_topic_ids_nothing_is_awaited_or_withheld(setup: Setup) -> None:
    setup.commit(7, OLD, 0)
    setup.assign(0)
    assert setup.receive(1) == []
    setup.know(NO_ID)
    setup.check.on_out_of_range(P1)
    assert setup.check.is_verified(P1)
    setup.kafka.failures["committed"] = KafkaError(KafkaError._TIMED_OUT)  # it is not queried
    assert setup.check.verify() == []
    assert (setup.receive(1), setup.recreations) == ([(0, 7)], 0)


def test_a_broker_that_delivers_messages_but_never_its_topic_id_is_read_without(setup: Setup) -> None:
    refused = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    setup.commit(7, OLD, 0)
    setup.assign(0)
    setup.check.mark_position_known([P0])
    with capture_logs() as logs:
        for _ in range(ID_TIMEOUT_SECONDS):
            setup.admin.answers.append(refused)
            setup.look_up()
        before = setup.topic_id
        setup.admin.answers.append(refused)
        setup.look_up()
    assert (before, setup.topic_id) == (None, NO_TOPIC_ID)
    assert setup.check.verify() == []
    assert (setup.receive(1), setup.recreations) == ([(0, 7)], 0)
    (logged,) = logs
    assert logged == {
        "event": "Kafka does not return the topic's id: a recreated topic will not be detected",
        "log_level": "warning",
        "topic": TOPIC,
        "code": "TOPIC_AUTHORIZATION_FAILED",
        "problem": "topic authorization failed (TOPIC_AUTHORIZATION_FAILED)",
    }


def test_lookups_of_an_unreachable_broker_never_end(setup: Setup) -> None:
    setup.assign(0)
    for _ in range(20):
        setup.admin.answers.append(KafkaError(KafkaError._TIMED_OUT))
        setup.look_up()
    assert setup.topic_id is None


def test_a_failed_query_of_offsets_is_repeated_after_a_second(setup: Setup) -> None:
    setup.know(NEW)
    setup.commit(7, NEW, 0)
    setup.assign(0)
    setup.check.mark_position_known([P0])
    setup.kafka.failures["committed"] = KafkaError(KafkaError._TIMED_OUT)
    with capture_logs() as logs:
        setup.check.verify()
        setup.check.verify()
    assert logs == [
        {
            "event": "cannot find the group's offsets yet", "log_level": "warning", "partitions": ["orders-0"],
            "code": "_TIMED_OUT", "problem": "timed out (_TIMED_OUT)",
        }
    ]  # fmt: skip
    assert not setup.check.is_verified(P0)
    setup.clock.advance(1)
    setup.check.verify()
    assert setup.check.is_verified(P0)


def test_each_error_of_failed_queries_of_offsets_is_logged_once_in_a_while(setup: Setup) -> None:
    setup.know(NEW)
    setup.commit(7, NEW, 0)
    setup.assign(0)
    setup.check.mark_position_known([P0])
    with capture_logs() as logs:
        for code in (KafkaError._TIMED_OUT, KafkaError._TIMED_OUT, KafkaError._TRANSPORT):
            setup.kafka.failures["committed"] = KafkaError(code)
            setup.check.verify()
            setup.clock.advance(1)
        setup.clock.advance(LOG_INTERVAL_SECONDS)
        setup.kafka.failures["committed"] = KafkaError(KafkaError._TRANSPORT)
        setup.check.verify()
    assert [each["code"] for each in logs] == ["_TIMED_OUT", "_TRANSPORT", "_TRANSPORT"]


def test_a_partition_is_assigned_again_if_the_client_cannot_seek(setup: Setup) -> None:
    setup.know(NEW)
    setup.commit(7, NEW, 0)
    setup.assign(0)
    assert setup.receive(2) == []
    setup.kafka.failures["seek"] = KafkaError(KafkaError._STATE)
    assert [(each.partition, each.offset) for each in setup.check.verify()] == [(0, 7)]
    assert setup.receive(1) == [(0, 7)]


@pytest.mark.parametrize("offset", [0, 7])
@pytest.mark.parametrize("is_withheld", [True, False])
def test_the_client_verifies_the_leader_epoch_of_a_committed_offset(
    setup: Setup, offset: int, *, is_withheld: bool
) -> None:
    setup.kafka.committed_offsets[0] = TopicPartition(TOPIC, 0, offset, "", 4)
    setup.know(NEW)
    setup.assign(0)
    if is_withheld:
        assert setup.receive() == []
    else:
        setup.check.mark_position_known([P0])
    assert setup.check.verify() == []
    assert setup.kafka.sought == [(0, offset, 4)]
    assert setup.receive() == [(0, each) for each in range(offset, 10)]


def test_a_position_out_of_range_is_left_to_its_reset(setup: Setup) -> None:
    setup.kafka.committed_offsets[0] = TopicPartition(TOPIC, 0, 11, "", 4)
    setup.know(NEW)
    setup.assign(0)
    setup.check.on_out_of_range(P0)
    assert (setup.check.verify(), setup.kafka.sought) == ([], [])


def test_the_earliest_withheld_message_is_where_reading_continues(setup: Setup) -> None:
    setup.know(NEW)
    setup.commit(2, NEW, 0)
    setup.assign(0)
    assert [setup.check.withhold(P0, offset) for offset in (6, 4, 5)] == [True] * 3
    setup.check.verify()
    assert setup.kafka.positions == {0: 4}


def test_a_revoked_partition_is_not_withheld_when_it_is_no_longer_known(setup: Setup) -> None:
    setup.assign(0, 1)
    setup.check.drop([P1, P2])
    assert [setup.check.withhold(partition, 5) for partition in (P0, P1)] == [True, False]
