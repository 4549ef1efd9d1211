"""What is read from a dead-letter topic, in a client of librdkafka's mock cluster."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from confluent_kafka import Consumer

from local import broker
from service.config import KafkaSettings
from service.errors import CommandFailed, Stopped
from service.handler.kafka.client import properties
from service.handler.kafka.client.topic_reader import TopicReader, open_topic
from service.handler.kafka.dead_letters.reading import record_at, require_dead_letter, search
from service.pkg.shutdown_event import ShutdownEvent
from tests.kit.dlq import dead_letter, produce


@pytest.fixture
def topic() -> Iterator[TopicReader]:
    """Yield a topic with the dead letters of key-1 to key-4, the second of which is rejected."""
    with broker.mock(["orders.dlq"]) as server:
        kafka = KafkaSettings(bootstrap_servers=server.bootstrap_servers)
        second = dead_letter(kafka, 2, reason="rejected")._replace(value=b'{"order_uid": "key-1"}')
        produce(kafka, dead_letter(kafka, 1), second, dead_letter(kafka, 3))
        produce(kafka, dead_letter(kafka, 4), partition=1)
        with closing(Consumer(properties.silent_consumer(kafka))) as consumer:
            yield open_topic(consumer, kafka.dead_letter_topic)


@pytest.fixture
def stopped() -> ShutdownEvent:
    stop = ShutdownEvent()
    stop.set()
    return stop


def test_a_search_names_the_order_of_each_dead_letter_by_its_key_or_document(topic: TopicReader) -> None:
    found = {each.key: uid for each, uid in search(topic, ["key-1", "key-4"], ShutdownEvent())}
    assert found == {b"key-1": "key-1", b"key-2": "key-1", b"key-3": None, b"key-4": "key-4"}


def test_a_dead_letter_is_found_by_its_partition_and_offset(topic: TopicReader) -> None:
    assert require_dead_letter(topic, 0, 1, ShutdownEvent()).key == b"key-2"


def test_a_dead_letter_that_compaction_removed_is_not_replaced_by_the_next_one(
    topic: TopicReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = topic.read
    monkeypatch.setattr(topic, "read", lambda *args: (each for each in read(*args) if each.offset != 1))
    assert record_at(topic, 0, 1, ShutdownEvent().is_set) is None


@pytest.mark.parametrize(("partition", "offset"), [(0, 3), (1, 1), (9, 0)])
def test_an_offset_outside_of_the_topic_has_no_dead_letter(topic: TopicReader, partition: int, offset: int) -> None:
    assert record_at(topic, partition, offset, ShutdownEvent().is_set) is None
    with pytest.raises(CommandFailed, match=f"no dead letter at partition {partition}, offset {offset}"):
        require_dead_letter(topic, partition, offset, ShutdownEvent())


def test_a_stop_before_the_end_is_an_error(topic: TopicReader, stopped: ShutdownEvent) -> None:
    with pytest.raises(Stopped, match=r"^stopped before the end of the dead letters$"):
        list(search(topic, [], stopped))
    assert record_at(topic, 0, 1, stopped.is_set) is None
    with pytest.raises(Stopped, match=r"^stopped before the end of the dead letters$"):
        require_dead_letter(topic, 0, 1, stopped)
