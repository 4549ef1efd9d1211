"""The fake consumer, and that of the simulation, behave like a client of librdkafka on its mock cluster."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, OFFSET_INVALID, Consumer, KafkaError, KafkaException, Producer
from confluent_kafka import TopicPartition as Partition

from local import broker
from service.handler.kafka.client.consumer_group import has_generation
from tests.kit.fake_consumer import TOPIC, FakeConsumer
from tests.kit.waiting import eventually, throughout
from tests.simulation.standalone import SimulatedKafka

SECONDS = 10.0
POLL_SECONDS = 0.05
QUIET_SECONDS = 0.3
"""How long nothing must arrive."""
PROPERTIES = {
    "group.id": "orders",
    "enable.auto.commit": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "error",
    "log_level": 0,
}


class Subject:
    """A consumer, and a producer for its topic. Five records are in partition 0, and one in partition 1."""

    def __init__(self, consumer: Any, append: Callable[..., None], answers: list[Any], quiet_seconds: float) -> None:
        self.consumer = consumer
        self.append = append
        self.answers = answers
        self._quiet_seconds = quiet_seconds
        append(0, b"0", b"1", b"2", b"3", b"4")
        append(1, b"other")

    def assign(self, *partitions: Partition) -> None:
        self.consumer.incremental_assign([*partitions])

    def unassign(self, *partitions: int) -> None:
        self.consumer.incremental_unassign([Partition(TOPIC, each) for each in partitions])

    def receive(self, count: int) -> list[tuple[int, int, bytes | str | None]]:
        """Return partition, offset, and value or error name of `count` messages; AssertionError if they do not come."""
        received: list[tuple[int, int, bytes | str | None]] = []

        def are_received() -> bool:
            received.extend(map(_summary, self.consumer.consume(count - len(received), POLL_SECONDS)))
            return len(received) == count

        eventually(are_received, SECONDS, f"{count} messages")
        return received

    def receive_values(self, count: int) -> list[bytes | str | None]:
        return [value for _, _, value in self.receive(count)]

    def assert_quiet(self) -> None:
        throughout(lambda: self.consumer.consume(1, POLL_SECONDS) == [], self._quiet_seconds, "no message arrives")

    def wait_for_answers(self, count: int) -> None:
        eventually(lambda: self.consumer.consume(1, POLL_SECONDS) == [] and len(self.answers) >= count, SECONDS)


def _summary(message: Any) -> tuple[int, int, bytes | str | None]:
    error = message.error()
    return message.partition(), message.offset(), error.name() if error else message.value()


def _record(answers: list[Any]) -> Callable[[KafkaError | None, Sequence[Partition]], None]:
    return lambda error, partitions: answers.append((error, [(each.partition, each.offset) for each in partitions]))


@contextmanager
def _fake() -> Iterator[Subject]:
    answers: list[Any] = []
    consumer = FakeConsumer(PROPERTIES | {"on_commit": _record(answers)})
    yield Subject(consumer, consumer.append, answers, 0)


@contextmanager
def _simulated() -> Iterator[Subject]:
    answers: list[Any] = []
    kafka = SimulatedKafka(TOPIC)
    yield Subject(kafka.consumer(PROPERTIES | {"on_commit": _record(answers)}), kafka.append, answers, 0)


@contextmanager
def _librdkafka() -> Iterator[Subject]:
    answers: list[Any] = []
    with broker.mock([TOPIC]) as cluster:
        servers: dict[str, Any] = {"bootstrap.servers": cluster.bootstrap_servers}
        producer = Producer(servers | {"log_level": 0})

        def append(partition: int, *values: bytes) -> None:
            for value in values:
                producer.produce(TOPIC, value, partition=partition)
            assert producer.flush(SECONDS) == 0

        consumer = Consumer(PROPERTIES | servers | {"on_commit": _record(answers)})
        yield Subject(consumer, append, answers, QUIET_SECONDS)
        consumer.close()


@pytest.fixture(params=[_fake, _simulated, _librdkafka], ids=["fake", "simulated", "librdkafka"])
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    with request.param() as made:
        yield made


def test_records_come_from_assigned_partitions_only(subject: Subject) -> None:
    subject.assert_quiet()
    subject.assign(Partition(TOPIC, 0, 3))
    assert subject.receive(3) == [(0, 3, b"3"), (0, 4, b"4"), (0, 5, "_PARTITION_EOF")]
    assert [each.partition for each in subject.consumer.assignment()] == [0]
    subject.assert_quiet()


def test_the_end_of_a_partition_is_reported_whenever_it_is_reached(subject: Subject) -> None:
    subject.assign(Partition(TOPIC, 1, OFFSET_BEGINNING))
    assert subject.receive(2) == [(1, 0, b"other"), (1, 1, "_PARTITION_EOF")]
    subject.append(1, b"next")
    assert subject.receive(2) == [(1, 1, b"next"), (1, 2, "_PARTITION_EOF")]


def test_an_assignment_without_an_offset_starts_at_the_committed_one(subject: Subject) -> None:
    subject.consumer.commit(offsets=[Partition(TOPIC, 0, 4)], asynchronous=True)
    subject.wait_for_answers(1)
    subject.assign(Partition(TOPIC, 0))
    assert subject.receive_values(2) == [b"4", "_PARTITION_EOF"]


def test_without_a_committed_offset_the_partition_has_no_position(subject: Subject) -> None:
    subject.assign(Partition(TOPIC, 0))
    assert subject.receive_values(1) == ["_AUTO_OFFSET_RESET"]
    with pytest.raises(KafkaException, match="_STATE"):
        subject.consumer.seek(Partition(TOPIC, 0, 2))
    subject.assert_quiet()


def test_a_position_out_of_range_is_reported_once_and_only_a_new_assignment_ends_it(subject: Subject) -> None:
    subject.assign(Partition(TOPIC, 0, 99))
    assert subject.receive(1) == [(0, 99, "_AUTO_OFFSET_RESET")]
    with pytest.raises(KafkaException, match="_STATE"):
        subject.consumer.seek(Partition(TOPIC, 0, 2))
    subject.assert_quiet()
    subject.unassign(0)
    subject.assign(Partition(TOPIC, 0, 4))
    assert subject.receive_values(1) == [b"4"]


def test_seeking_moves_the_position_of_an_assigned_partition(subject: Subject) -> None:
    with pytest.raises(KafkaException, match=r"Failed to seek|_STATE"):
        subject.consumer.seek(Partition(TOPIC, 0, 2))
    subject.assign(Partition(TOPIC, 0, 0))
    assert subject.receive_values(6)[-1] == "_PARTITION_EOF"
    subject.consumer.seek(Partition(TOPIC, 0, 4))
    assert subject.receive_values(2) == [b"4", "_PARTITION_EOF"]


def test_a_partition_is_assigned_and_unassigned_once(subject: Subject) -> None:
    subject.assign(Partition(TOPIC, 0, 0))
    with pytest.raises(KafkaException, match="_CONFLICT"):
        subject.assign(Partition(TOPIC, 0, 3))
    with pytest.raises(KafkaException, match="_INVALID_ARG"):
        subject.unassign(1)


def test_a_paused_partition_delivers_nothing_until_it_is_resumed(subject: Subject) -> None:
    subject.assign(Partition(TOPIC, 0, 3), Partition(TOPIC, 1, 1))
    subject.consumer.pause([Partition(TOPIC, 0)])
    assert subject.receive(1) == [(1, 1, "_PARTITION_EOF")]
    subject.assert_quiet()
    subject.consumer.resume([Partition(TOPIC, 0)])
    assert subject.receive_values(2) == [b"3", b"4"]


def test_the_end_of_a_partition_is_reported_again_after_a_pause(subject: Subject) -> None:
    subject.assign(Partition(TOPIC, 1, 1))
    assert subject.receive(1) == [(1, 1, "_PARTITION_EOF")]
    subject.consumer.resume([Partition(TOPIC, 1)])
    subject.assert_quiet()
    subject.consumer.pause([Partition(TOPIC, 1)])
    subject.assert_quiet()
    subject.consumer.resume([Partition(TOPIC, 1)])
    assert subject.receive(1) == [(1, 1, "_PARTITION_EOF")]


@pytest.mark.parametrize("subject", [_simulated, _librdkafka], indirect=True, ids=["simulated", "librdkafka"])
def test_a_reader_polls_one_message_at_a_time_from_what_was_assigned_last(subject: Subject) -> None:
    subject.assign(Partition(TOPIC, 0, 4))
    subject.consumer.assign([Partition(TOPIC, 1, 0)])
    polled: list[Any] = []

    def are_polled() -> bool:
        message = subject.consumer.poll(POLL_SECONDS)
        polled.extend([] if message is None else [_summary(message)])
        return len(polled) == 2

    eventually(are_polled, SECONDS)
    assert polled == [(1, 0, b"other"), (1, 1, "_PARTITION_EOF")]
    subject.consumer.unassign()
    assert subject.consumer.assignment() == []


@pytest.mark.parametrize("subject", [_simulated, _librdkafka], indirect=True, ids=["simulated", "librdkafka"])
def test_the_partitions_of_a_topic_are_listed(subject: Subject) -> None:
    assert {0, 1} <= {*subject.consumer.list_topics(TOPIC, timeout=SECONDS).topics[TOPIC].partitions}
    unknown = subject.consumer.list_topics("unknown", timeout=SECONDS).topics["unknown"]
    assert unknown.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_a_partition_stays_paused_when_it_is_assigned_again(subject: Subject) -> None:
    subject.assign(Partition(TOPIC, 0, 3))
    assert subject.receive_values(1) == [b"3"]
    subject.consumer.pause([Partition(TOPIC, 0)])
    subject.unassign(0)
    subject.assign(Partition(TOPIC, 0, 4))
    subject.assert_quiet()
    subject.consumer.resume([Partition(TOPIC, 0)])
    assert subject.receive_values(1) == [b"4"]


def test_partitions_that_are_not_assigned_can_be_paused_and_resumed(subject: Subject) -> None:
    subject.consumer.pause([Partition(TOPIC, 1)])
    subject.consumer.resume([Partition(TOPIC, 1)])
    subject.assign(Partition(TOPIC, 1, 0))
    assert subject.receive_values(1) == [b"other"]


def test_a_commit_is_answered_by_a_later_poll(subject: Subject) -> None:
    subject.consumer.commit(offsets=[Partition(TOPIC, 0, 3), Partition(TOPIC, 1, 1)], asynchronous=True)
    assert subject.answers == []
    subject.wait_for_answers(1)
    ((error, partitions),) = subject.answers
    assert (error, sorted(partitions)) == (None, [(0, 3), (1, 1)])


def test_committed_offsets_keep_their_metadata(subject: Subject) -> None:
    subject.consumer.commit(offsets=[Partition(TOPIC, 0, 3, "topic-id=a")], asynchronous=True)
    subject.wait_for_answers(1)
    found = subject.consumer.committed([Partition(TOPIC, 0), Partition(TOPIC, 1)], timeout=SECONDS)
    assert [(each.offset, each.metadata, each.error) for each in found] == [
        (3, "topic-id=a", None),
        (OFFSET_INVALID, None, None),
    ]


def test_watermarks_are_queried_or_known_from_the_last_fetch(subject: Subject) -> None:
    partition = Partition(TOPIC, 0)
    assert subject.consumer.get_watermark_offsets(partition, cached=True) == (OFFSET_INVALID, OFFSET_INVALID)
    assert subject.consumer.get_watermark_offsets(partition, SECONDS) == (0, 5)
    subject.assign(Partition(TOPIC, 0, 0))
    subject.receive(6)
    assert subject.consumer.get_watermark_offsets(partition, cached=True)[1] == 5


def test_the_metadata_of_a_client_that_has_not_joined_its_group_has_no_generation(subject: Subject) -> None:
    metadata = subject.consumer.consumer_group_metadata()
    assert metadata.startswith(b"CGMDv2:")
    assert not has_generation(metadata)


def test_the_fake_raises_a_failure_once() -> None:
    consumer = FakeConsumer()
    consumer.failures["committed"] = KafkaError(KafkaError._TIMED_OUT)
    with pytest.raises(KafkaException, match="_TIMED_OUT"):
        consumer.committed([Partition(TOPIC, 0)], timeout=1)
    assert [each.offset for each in consumer.committed([Partition(TOPIC, 0)], timeout=1)] == [OFFSET_INVALID]


def test_the_fake_delivers_errors_and_callbacks_on_demand() -> None:
    seen: list[str] = []
    consumer = FakeConsumer({"stats_cb": seen.append})
    consumer.add_error(KafkaError(KafkaError._BAD_COMPRESSION), partition=2, offset=7)
    consumer.call_back("stats_cb", "{}")
    assert [*map(_summary, consumer.consume(5, 0))] == [(2, 7, "_BAD_COMPRESSION")]
    assert seen == ["{}"]
