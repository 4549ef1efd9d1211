"""What `/stats` tells of Kafka, on a real one."""

from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from local import broker
from service.handler.kafka.client.group_lag import GroupLag, TopicDepths
from tests import temporary
from tests.waiting import eventually

if TYPE_CHECKING:
    from tests.servers import Kafka


def watch(bootstrap_servers: str, topic: str) -> GroupLag:
    quiet: dict[str, str | int | float | bool] = {"bootstrap.servers": bootstrap_servers, "log_level": 0}
    group = partial(Consumer, quiet | {"group.id": topic})
    return GroupLag(partial(AdminClient, quiet), group, topic, f"{topic}.dlq")


def produce(bootstrap_servers: str, topic: str, count: int) -> None:
    producer = Producer({"bootstrap.servers": bootstrap_servers})
    for number in range(count):
        producer.produce(topic, b"{}", partition=number % 3)
    assert producer.flush(30) == 0


def commit(bootstrap_servers: str, topic: str, partition: int, offset: int) -> None:
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": topic})
    consumer.commit(offsets=[TopicPartition(topic, partition, offset)], asynchronous=False)
    consumer.close()


def told(watching: GroupLag) -> TopicDepths:
    """Ask until the broker answers in time: a busy one may not."""
    read = eventually(watching.read, within=30, what="an answer")
    assert read
    return read


def test_lag_is_what_the_group_has_not_committed_and_dead_letters_are_counted(
    kafka_server: "Kafka", topic: str
) -> None:
    servers = kafka_server.bootstrap_servers
    watching = watch(servers, topic)
    assert told(watching) == TopicDepths(0, 0)
    produce(servers, topic, 9)
    produce(servers, f"{topic}.dlq", 4)
    assert told(watching) == TopicDepths(9, 4)
    commit(servers, topic, 0, 2)
    assert told(watching) == TopicDepths(7, 4)


def test_a_topic_that_is_not_there_has_no_messages(kafka_server: "Kafka") -> None:
    assert told(watch(kafka_server.bootstrap_servers, "no-such-topic")) == TopicDepths(0, 0)


def test_a_broker_that_never_had_a_group_is_told_of(tmp_path: Path) -> None:
    """Its first answers about a group are errors, at which the client library can crash."""
    with broker.kafka(tmp_path, echo=print) as unused, temporary.topic(unused.bootstrap_servers) as topic:
        assert told(watch(unused.bootstrap_servers, topic)) == TopicDepths(0, 0)


def test_while_kafka_is_away_nothing_is_told_and_nobody_waits_long() -> None:
    began = monotonic()
    assert watch("127.0.0.1:9", "orders").read() is None
    assert monotonic() - began < 5
