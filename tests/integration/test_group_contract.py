"""The contract of a consumer group and of transactions, on Kafka and on the broker of the simulation."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition

from service.config import KafkaSettings
from service.handler.kafka.client import properties
from service.handler.kafka.client.consumer_group import has_generation
from tests.kit.temporary import PARTITIONS
from tests.kit.waiting import eventually, throughout
from tests.simulation.client import SimulatedConsumer
from tests.simulation.standalone import SimulatedKafka

SECONDS = 30.0
POLL_SECONDS = 0.2
QUIET_SECONDS = 1.0
"""How long nothing must arrive."""


class Member:
    """A consumer that has joined the group, and what its callbacks and polls returned."""

    def __init__(self, client: Any, topic: str, start: int) -> None:
        self.client = client
        self.events: list[tuple[str, int]] = []
        """Callbacks, with the number of their partitions."""
        self.values: list[bytes] = []
        self.ends: list[int] = []
        self._start = start
        client.subscribe([topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke)

    @property
    def partitions(self) -> list[int]:
        return sorted(each.partition for each in self.client.assignment())

    def poll(self) -> None:
        for message in self.client.consume(10, POLL_SECONDS):
            if (error := message.error()) is None:
                self.values.append(message.value())
            elif error.code() == KafkaError._PARTITION_EOF:
                self.ends.append(message.offset())

    def _on_assign(self, _: object, partitions: list[TopicPartition]) -> None:
        self.events.append(("assign", len(partitions)))
        for each in partitions:
            each.offset = self._start
        self.client.incremental_assign(partitions)

    def _on_revoke(self, _: object, partitions: list[TopicPartition]) -> None:
        self.events.append(("revoke", len(partitions)))
        self.client.incremental_unassign(partitions)


class Cluster(ABC):
    """A topic with PARTITIONS partitions, and clients of a group."""

    topic: str

    def __init__(self) -> None:
        self.members: list[Member] = []

    def join(self, start: int = OFFSET_BEGINNING) -> Member:
        self.members.append(Member(self._consumer(), self.topic, start))
        return self.members[-1]

    def leave(self, member: Member) -> None:
        self.members.remove(member)
        member.client.close()

    def wait_for_partitions(self, *counts: int) -> None:
        """Poll all members until they have these numbers of partitions."""

        self.poll_until(lambda: [len(each.partitions) for each in self.members] == [*counts])

    def wait_for_values(self, member: Member, *values: bytes) -> None:
        self.poll_until(lambda: sorted(member.values) == sorted(values))

    def poll_until(self, check: Callable[[], bool]) -> None:
        eventually(lambda: self.polled(check), SECONDS)

    def polled(self, check: Callable[[], bool]) -> bool:
        """Poll all members once; return whether the check holds."""
        for each in self.members:
            each.poll()
        return check()

    def producer(self) -> Any:
        """Return a producer of one transactional id, which fences those before it."""
        made = self._producer()
        made.init_transactions(SECONDS)
        return made

    def send_offset(self, producer: Any, offset: int, metadata: bytes) -> None:
        producer.send_offsets_to_transaction([TopicPartition(self.topic, 0, offset)], metadata, SECONDS)

    def committed(self, member: Member, timeout: float) -> int:
        (found,) = member.client.committed([TopicPartition(self.topic, 0)], timeout=timeout)
        if found.error is not None:
            raise KafkaException(found.error)
        return int(found.offset)

    def close(self) -> None:
        for each in self.members:
            each.client.close()

    @abstractmethod
    def append(self, *values: bytes) -> None:
        """Produce to partition 0, outside of a transaction."""

    @abstractmethod
    def _consumer(self) -> Any: ...

    @abstractmethod
    def _producer(self) -> Any: ...


class SimulatedCluster(Cluster):
    topic = "orders"

    def __init__(self) -> None:
        super().__init__()
        self._kafka = SimulatedKafka(self.topic)

    def append(self, *values: bytes) -> None:
        self._kafka.append(0, *values)

    def _consumer(self) -> SimulatedConsumer:
        return self._kafka.consumer(
            {"on_commit": lambda *_: None, "stats_cb": lambda _: None, "error_cb": lambda _: None}
        )

    def _producer(self) -> Any:
        return self._kafka.producer({"transactional.id": "1"})


class KafkaCluster(Cluster):
    def __init__(self, kafka: KafkaSettings) -> None:
        super().__init__()
        self.topic = kafka.topic
        self._kafka = kafka

    def append(self, *values: bytes) -> None:
        producer = Producer(properties.producer(self._kafka))
        for value in values:
            producer.produce(self.topic, value, partition=0)
        assert producer.flush(SECONDS) == 0

    def _consumer(self) -> Consumer:
        return Consumer(properties.silent_consumer(self._kafka))

    def _producer(self) -> Producer:
        return Producer(properties.transactional(self._kafka, self.topic))


@pytest.fixture(params=["simulated", "kafka"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    made = SimulatedCluster() if request.param == "simulated" else KafkaCluster(request.getfixturevalue("kafka"))
    yield made
    made.close()


def test_a_member_that_joins_gets_partitions_that_were_revoked_first(cluster: Cluster) -> None:
    first = cluster.join()
    cluster.wait_for_partitions(PARTITIONS)
    second = cluster.join()
    cluster.wait_for_partitions(PARTITIONS - 1, 1)
    assert first.partitions != second.partitions
    assert [each for each in first.events if each[1]] == [("assign", PARTITIONS), ("revoke", 1)]


def test_a_member_that_leaves_revokes_its_partitions_and_the_next_owner_reads_from_the_commit(cluster: Cluster) -> None:
    cluster.append(b"0", b"1", b"2")
    first = cluster.join()
    cluster.wait_for_values(first, b"0", b"1", b"2")
    first.client.commit(offsets=[TopicPartition(cluster.topic, 0, 2)], asynchronous=False)
    cluster.leave(first)
    assert first.events[-1] == ("revoke", PARTITIONS)
    second = cluster.join(start=-1000)  # the committed offset
    cluster.wait_for_values(second, b"2")


def test_offsets_with_the_metadata_of_an_older_generation_are_rejected(cluster: Cluster) -> None:
    first = cluster.join()
    cluster.wait_for_partitions(PARTITIONS)
    older = first.client.consumer_group_metadata()
    assert has_generation(older)
    cluster.join()
    cluster.wait_for_partitions(PARTITIONS - 1, 1)
    producer = cluster.producer()
    producer.begin_transaction()
    with pytest.raises(KafkaException, match=r"ILLEGAL_GENERATION|_STATE|UNKNOWN_MEMBER|FENCED"):
        cluster.send_offset(producer, 1, older)
    producer.abort_transaction(SECONDS)
    producer.begin_transaction()
    cluster.send_offset(producer, 1, first.client.consumer_group_metadata())
    producer.commit_transaction(SECONDS)
    eventually(lambda: cluster.committed(first, SECONDS) == 1, SECONDS)


def test_offsets_of_an_open_transaction_are_returned_when_it_has_ended(cluster: Cluster) -> None:
    member = cluster.join()
    cluster.wait_for_partitions(PARTITIONS)
    producer = cluster.producer()
    producer.begin_transaction()
    cluster.send_offset(producer, 1, member.client.consumer_group_metadata())
    with pytest.raises(KafkaException, match=r"_TIMED_OUT|UNSTABLE_OFFSET_COMMIT"):
        cluster.committed(member, 1)
    producer.commit_transaction(SECONDS)
    eventually(lambda: cluster.committed(member, SECONDS) == 1, SECONDS)


def test_records_behind_an_open_transaction_are_read_when_it_has_ended(cluster: Cluster) -> None:
    producer = cluster.producer()
    producer.begin_transaction()
    producer.produce(cluster.topic, b"in the transaction", None, 0, on_delivery=lambda *_: None)
    assert producer.flush(SECONDS) == 0
    cluster.append(b"behind it")
    member = cluster.join()
    cluster.wait_for_partitions(PARTITIONS)
    throughout(lambda: cluster.polled(lambda: member.values == []), QUIET_SECONDS)
    producer.commit_transaction(SECONDS)
    cluster.wait_for_values(member, b"in the transaction", b"behind it")
    cluster.poll_until(lambda: 3 in member.ends)  # the offset after the marker


def test_records_of_an_aborted_transaction_are_not_read(cluster: Cluster) -> None:
    producer = cluster.producer()
    producer.begin_transaction()
    producer.produce(cluster.topic, b"aborted", None, 0, on_delivery=lambda *_: None)
    assert producer.flush(SECONDS) == 0
    producer.abort_transaction(SECONDS)
    cluster.append(b"behind it")
    member = cluster.join()
    cluster.wait_for_values(member, b"behind it")


def test_a_producer_is_fenced_by_the_next_one_of_its_id(cluster: Cluster) -> None:
    fenced = cluster.producer()
    fenced.begin_transaction()
    fenced.produce(cluster.topic, b"fenced", None, 0, on_delivery=lambda *_: None)
    assert fenced.flush(SECONDS) == 0
    cluster.producer()
    with pytest.raises(KafkaException) as failure:
        fenced.commit_transaction(SECONDS)
    assert failure.value.args[0].fatal()
