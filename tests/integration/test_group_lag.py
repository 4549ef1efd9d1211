"""Lag and dead letters in `/stats`, read from a real Kafka."""

from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from local import broker
from service.entities.partition import Partition
from service.entities.subscription import Subscription
from service.handler.kafka.client.group_lag import GroupLag
from service.handler.kafka.client.topic_id import TopicId, fetch_topic_id
from service.handler.kafka.dead_letters.transaction_checks import TransactionChecks
from service.usecases.ports.stats import PartitionDepth, TopicDepths
from tests.kit import temporary
from tests.kit.waiting import eventually

if TYPE_CHECKING:
    from tests.kit.servers import Kafka


def group_lag(bootstrap_servers: str, topic: str, subscription: Subscription | None = None) -> GroupLag:
    quiet: dict[str, str | int | float | bool] = {"bootstrap.servers": bootstrap_servers, "log_level": 0}
    group = partial(Consumer, quiet | {"group.id": topic})
    return GroupLag(
        partial(AdminClient, quiet),
        group,
        subscription=subscription or Subscription((topic,)),
        dead_letter_topic=f"{topic}.dlq",
    )


def produce(bootstrap_servers: str, topic: str, count: int) -> None:
    producer = Producer({"bootstrap.servers": bootstrap_servers})
    for number in range(count):
        producer.produce(topic, b"{}", partition=number % 3)
    assert producer.flush(30) == 0


def commit(bootstrap_servers: str, topic: str, partition: int, offset: int, metadata: str = "") -> None:
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": topic})
    consumer.commit(offsets=[TopicPartition(topic, partition, offset, metadata)], asynchronous=False)
    consumer.close()


def read(lag: GroupLag) -> TopicDepths:
    """Retry until the broker responds in time, which a busy one may not."""
    depths = eventually(lag.read_if_available, within=30, what="a response")
    assert depths
    return depths


def counts(lag: GroupLag) -> tuple[int, int]:
    """Return the lag and the number of dead letters."""
    depths = read(lag)
    return depths.lag, depths.dead_letters


def test_lag_and_dead_letters_are_counted(kafka_server: "Kafka", topic: str) -> None:
    servers = kafka_server.bootstrap_servers
    lag = group_lag(servers, topic)
    assert counts(lag) == (0, 0)
    produce(servers, topic, 9)
    produce(servers, f"{topic}.dlq", 4)
    assert counts(lag) == (9, 4)
    commit(servers, topic, 0, 2)
    assert counts(lag) == (7, 4)
    assert read(lag).partitions == {
        Partition(topic, 0): PartitionDepth(2, 1),
        Partition(topic, 1): PartitionDepth(0, 3),
        Partition(topic, 2): PartitionDepth(0, 3),
    }


def test_offsets_of_a_deleted_topic_are_not_committed_in_the_recreated_one(kafka_server: "Kafka", topic: str) -> None:
    servers = kafka_server.bootstrap_servers
    admin, lag = AdminClient({"bootstrap.servers": servers}), group_lag(servers, topic)
    checks = TransactionChecks(admin, partial(Consumer, {"bootstrap.servers": servers, "group.id": topic}))
    topic_id = fetch_topic_id(admin, topic, 10)
    produce(servers, topic, 9)
    commit(servers, topic, 0, 2, TopicId("AAAAAAAAAAAAAAAAAAAAAQ").commit_metadata)
    assert counts(lag) == (9, 0)
    assert not checks.have_committed({Partition(topic, 0): 2}, {topic: topic_id})
    commit(servers, topic, 0, 2, topic_id.commit_metadata)
    assert counts(lag) == (7, 0)
    assert checks.have_committed({Partition(topic, 0): 2}, {topic: topic_id})


def test_a_missing_topic_has_no_messages(kafka_server: "Kafka") -> None:
    assert counts(group_lag(kafka_server.bootstrap_servers, "no-such-topic")) == (0, 0)


def test_a_broker_without_any_group_gives_a_lag_of_0(tmp_path: Path) -> None:
    """Its first responses about a group are errors, which can crash the client library."""
    with broker.kafka(tmp_path, echo=print) as new, temporary.topic(new.bootstrap_servers) as topic:
        assert counts(group_lag(new.bootstrap_servers, topic)) == (0, 0)


def test_an_unreachable_kafka_gives_no_lag_within_seconds() -> None:
    began = monotonic()
    assert group_lag("127.0.0.1:9", "orders").read_if_available() is None
    assert monotonic() - began < 5
