"""A consumer reads several topics: listed ones, or all that match a pattern."""

import json
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient

from service.config import KafkaSettings
from service.entities.dead_letter_headers import read_origin
from service.entities.partition import Partition
from service.handler.kafka.client import properties
from service.handler.kafka.client.group_lag import GroupLag
from service.usecases.ports.stats import TopicDepths
from tests.kit import temporary
from tests.kit.consumers import assigned
from tests.kit.dlq import dlq
from tests.kit.factories import order_document
from tests.kit.harness import Harness, Sent, headers, metric, orders, samples
from tests.kit.processes import Service
from tests.kit.waiting import eventually

WITHIN_SECONDS = 30.0
EARLY_MS, LATE_MS = 1_700_000_000_000, 1_700_000_000_001


@pytest.fixture
def other(harness: Harness) -> Iterator[str]:
    """Name of a second topic, which is greater than the first one's."""
    name = f"{harness.topic}.eu"
    with temporary.topics(harness.bootstrap_servers, name):
        yield name


def kafka_settings(harness: Harness, topics: str) -> KafkaSettings:
    return KafkaSettings(
        bootstrap_servers=harness.bootstrap_servers,
        topic=harness.topic,
        topics=topics,
        dead_letter_topic=harness.dead_letter_topic,
        group_id=harness.topic,
    )


def depths(kafka: KafkaSettings) -> TopicDepths:
    """Return the lag and the number of dead letters, as the API reads them."""
    lag = GroupLag(
        lambda: AdminClient(properties.silent_admin(kafka)),
        lambda: Consumer(properties.silent_consumer(kafka)),
        subscription=kafka.subscription,
        dead_letter_topic=kafka.dead_letter_topic,
    )
    found = eventually(lag.read_if_available, WITHIN_SECONDS, "the lag")
    assert found
    return found


def order(uid: str, timestamp_ms: int, **changes: object) -> Sent:
    (sent,) = orders([order_document(order_uid=uid, **changes)])
    return sent._replace(timestamp_ms=timestamp_ms)


class Stored(NamedTuple):
    track_number: str
    topic: str


def stored(harness: Harness) -> dict[str, Stored]:
    return {
        uid: Stored(*rest) for uid, *rest in harness.query("SELECT order_uid, track_number, source_topic FROM orders")
    }


def missing_topics(consumer: Service) -> set[str]:
    """Return the topics that the log names as missing."""
    lines = consumer.log.read_text().splitlines()
    return {json.loads(line)["topic"] for line in lines if "the topic does not exist" in line}


def test_the_orders_of_all_listed_topics_are_stored_and_dead_letters_return_to_theirs(
    harness: Harness, other: str
) -> None:
    """The later timestamp wins across topics, and at the same one the greater name. A missing topic delays no other."""
    topic, missing = harness.topic, f"{harness.topic}.us"
    kafka = kafka_settings(harness, f"{topic},{missing},{other}")
    harness.produce(
        order("late-here", LATE_MS, track_number="here"),
        order("late-there", EARLY_MS, track_number="here"),
        order("equal", EARLY_MS, track_number="here"),
        Sent(b"{", b"here"),
    )
    harness.produce_to(
        other,
        order("late-here", EARLY_MS, track_number="there"),
        order("late-there", LATE_MS, track_number="there"),
        order("equal", EARLY_MS, track_number="there"),
        Sent(b"{", b"there", partition=2),
    )
    before = depths(kafka)
    assert (before.lag, before.dead_letters) == (8, 0)
    assert {each: depth.lag for each, depth in before.partitions.items() if depth.lag} == {
        Partition(topic, 0): 4, Partition(other, 0): 3, Partition(other, 2): 1,
    }  # fmt: skip
    consumer = harness.consumer(ORDERS_KAFKA__TOPICS=kafka.topics)
    eventually(lambda: (now := depths(kafka)).lag == 0 and now.dead_letters == 2, WITHIN_SECONDS, "no lag")
    assert stored(harness) == {
        "late-here": Stored("here", topic),
        "late-there": Stored("there", other),
        "equal": Stored("there", other),
    }
    eventually(lambda: samples(consumer, "orders_lag_messages", topic=other, partition="0") == [0], WITHIN_SECONDS)
    eventually(lambda: missing_topics(consumer) == {missing}, WITHIN_SECONDS, "the missing topic is named")
    assert consumer.stop() == 0
    assert dlq(kafka, "replay") == 0
    assert [(each.key(), each.partition()) for each in harness.messages(topic) if each.value() == b"{"] == 2 * [
        (b"here", 0)
    ]
    assert [(each.key(), each.partition()) for each in harness.messages(other) if each.value() == b"{"] == 2 * [
        (b"there", 2)
    ]


def test_topics_that_appear_later_match_a_pattern_but_the_dead_letters_never_do(harness: Harness) -> None:
    """With the protocol `consumer`, brokers evaluate the pattern: it must not match the dead-letter topic."""
    topic, later, kafka = harness.topic, f"{harness.topic}.eu", kafka_settings(harness, f"^{harness.topic}")
    consumers = [
        harness.consumer(ORDERS_KAFKA__TOPICS=kafka.topics),
        harness.consumer(
            ORDERS_KAFKA__TOPICS=f"^{topic}([.]eu)?$",
            ORDERS_KAFKA__GROUP_ID=f"{topic}.new",
            ORDERS_KAFKA__GROUP_PROTOCOL="consumer",
        ),
    ]
    harness.produce(order("one", EARLY_MS), Sent(b"{"))
    for consumer in map(assigned, consumers):
        eventually(lambda: metric(consumer, "orders_consumed_total") == 2, WITHIN_SECONDS)  # noqa: B023 - called here
    with temporary.topics(harness.bootstrap_servers, later):
        harness.produce_to(later, order("two", EARLY_MS), Sent(b"{"))
        for consumer in consumers:
            eventually(lambda: metric(consumer, "orders_consumed_total") == 4, WITHIN_SECONDS)  # noqa: B023
        harness.wait_stored({"one", "two"})
        eventually(lambda: (now := depths(kafka)).lag == 0 and now.dead_letters == 4, WITHIN_SECONDS, "no lag")
        for consumer in consumers:
            assert metric(consumer, "orders_consumed_total") == 4
            assert f"{harness.dead_letter_topic}-" not in consumer.log.read_text()
            assert consumer.stop() == 0
    origins = [read_origin(headers(each)) for each in harness.dead_letters()]
    assert sorted(each.topic for each in origins if each) == [topic, topic, later, later]
