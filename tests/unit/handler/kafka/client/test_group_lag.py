"""The lag of a group, also if its broker returns no topic id."""

from collections.abc import Iterator
from concurrent.futures import Future
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import Consumer, IsolationLevel, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from local import broker
from service.entities.subscription import Subscription
from service.handler.kafka.client.group_lag import GroupLag
from service.handler.kafka.client.topic_id import TopicId, offsets_to_commit
from service.usecases.ports.stats import PartitionDepth
from tests.kit.fake_consumer import FakeAdmin
from tests.kit.order_partitions import P0, keyed

TOPIC = "orders"


@pytest.fixture
def client() -> Iterator[dict[str, Any]]:
    """Yield the properties of clients of a broker that returns no topic ids."""
    with broker.mock([TOPIC, "orders.dlq"]) as server:
        yield {"bootstrap.servers": server.bootstrap_servers}


def produce(client: dict[str, Any], topic: str, count: int) -> None:
    producer = Producer(client)
    for _ in range(count):
        producer.produce(topic, b"", partition=0)
    assert producer.flush(10) == 0


def commit(client: dict[str, Any], offsets: list[TopicPartition]) -> None:
    consumer = Consumer(client | {"group.id": "orders"})
    consumer.commit(offsets=offsets, asynchronous=False)
    consumer.close()


def test_commits_without_a_topic_id_count_although_the_broker_does_not_return_the_id(client: dict[str, Any]) -> None:
    produce(client, TOPIC, 5)
    produce(client, "orders.dlq", 2)
    commit(client, offsets_to_commit(keyed({0: 3}), {}, {}))
    group = partial(Consumer, client | {"group.id": "orders", "enable.auto.commit": False})
    lag = GroupLag(
        partial(AdminClient, client), group, subscription=Subscription((TOPIC,)), dead_letter_topic="orders.dlq"
    )
    depths = lag.read()
    assert (depths.partitions[P0], depths.lag, depths.dead_letters) == (PartitionDepth(3, 2), 2, 2)


class LagAdmin(FakeAdmin):
    """Knows partition 0 of TOPIC, with records from 2 to 9, of which an open transaction has those from 7 on."""

    def __init__(self) -> None:
        super().__init__("current")
        self.timeouts: set[float] = set()

    def list_topics(self, timeout: float) -> Any:
        self.timeouts.add(timeout)
        return SimpleNamespace(topics={TOPIC: SimpleNamespace(partitions={0: None})})

    def list_offsets(
        self, wanted: dict[TopicPartition, Any], *, isolation_level: IsolationLevel, request_timeout: float
    ) -> dict[TopicPartition, Future[Any]]:
        self.timeouts.add(request_timeout)
        ends = {IsolationLevel.READ_COMMITTED: 7, IsolationLevel.READ_UNCOMMITTED: 9}
        return {each: _offset(which, ends[isolation_level]) for each, which in wanted.items()}


def _offset(which: Any, end: int) -> Future[Any]:
    is_earliest = isinstance(which, type(OffsetSpec.earliest()))  # type: ignore[no-untyped-call]
    answer: Future[Any] = Future()
    answer.set_result(SimpleNamespace(offset=2 if is_earliest else end))
    return answer


def lag_of(admin: LagAdmin, committed: int, metadata: str = "") -> GroupLag:
    answer = TopicPartition(TOPIC, 0, committed, metadata)
    connected: Any = lambda: admin  # noqa: E731
    consumer: Any = lambda: SimpleNamespace(committed=lambda *_, **__: [answer])  # noqa: E731
    return GroupLag(
        connected, consumer, subscription=Subscription((TOPIC,)), dead_letter_topic="orders.dlq", call_timeout=1.5
    )


def test_the_lag_ends_before_open_transactions_whose_messages_are_counted_apart() -> None:
    admin = LagAdmin()
    lag = lag_of(admin, committed=3)
    assert lag.read().partitions == {P0: PartitionDepth(3, 4)}
    assert lag.open_transaction_messages() == 2
    assert admin.timeouts == {1.5}


@pytest.mark.parametrize(
    ("committed", "metadata", "lookups", "following"),
    [
        (-1001, "", 0, 2),
        (0, "", 0, 0),
        (5, "", 0, 5),
        (5, TopicId("current").commit_metadata, 1, 5),
        (5, TopicId("deleted").commit_metadata, 1, 2),
    ],
)
def test_only_commits_of_the_current_topic_count_and_its_id_is_queried_only_if_needed(
    committed: int, metadata: str, lookups: int, following: int
) -> None:
    admin = LagAdmin()
    depths = lag_of(admin, committed, metadata).read()
    assert (depths.partitions[P0], admin.lookups) == (PartitionDepth(following, 7 - following), lookups)
