"""`orders rewind`, `erase` and `skip-batch` if the consumers read several topics."""

import argparse
import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from msgspec.json import encode

from service.app.commands import rewind, skip_batch
from service.config import KafkaSettings, Settings
from service.errors import CommandFailed, UsageError
from service.handler.kafka.client import properties
from service.pkg.shutdown_event import ShutdownEvent
from tests.kit import erase_command, temporary
from tests.kit.factories import order_document
from tests.kit.harness import Sent
from tests.kit.temporary import configure_topic

FAR = 10.0
NOON_MS = round(datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp() * 1_000)


@pytest.fixture
def several(kafka: KafkaSettings) -> Iterator[KafkaSettings]:
    """Two topics with five messages each in partition 0, one a second from noon; the group has read all."""
    other = f"{kafka.topic}.eu"
    with temporary.topics(kafka.bootstrap_servers, other):
        producer = Producer(properties.producer(kafka))
        for second in range(5):
            for topic in (kafka.topic, other):
                producer.produce(topic, b"x", partition=0, timestamp=NOON_MS + second * 1_000)
        assert producer.flush(FAR) == 0
        consumer = Consumer(properties.consumer(kafka))
        consumer.commit(offsets=[TopicPartition(each, 0, 5) for each in (kafka.topic, other)], asynchronous=False)
        consumer.close()
        yield kafka.model_copy(update={"topics": f"{kafka.topic},{other}"})


def committed(kafka: KafkaSettings) -> list[int]:
    """Return the committed offsets of partition 0, by topic."""
    consumer = Consumer(properties.consumer(kafka))
    found = consumer.committed([TopicPartition(name, 0) for name in kafka.subscription.names], timeout=FAR)
    consumer.close()
    return [each.offset for each in found]


def run_rewind(kafka: KafkaSettings, seconds: int, *options: str) -> None:
    parser = argparse.ArgumentParser()
    rewind.add_arguments(parser)
    arguments = parser.parse_args(["--to-timestamp", f"2026-11-23T12:00:0{seconds}Z", *options])
    assert rewind.run(arguments, Settings(kafka=kafka), ShutdownEvent()) == 0


def test_rewind_sets_all_topics_back_or_only_the_named_one(
    several: KafkaSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = several.subscription.names
    run_rewind(several, 4)
    assert committed(several) == [4, 4]
    assert capsys.readouterr().out.splitlines() == [
        f"{first}, partition 0: 5 -> 4",
        f"{second}, partition 0: 5 -> 4",
        "2 offsets will be read again",
    ]
    run_rewind(several, 1, "--topic", second, "--json")
    assert committed(several) == [4, 1]
    assert json.loads(capsys.readouterr().out)["partitions"] == [{"topic": second, "partition": 0, "from": 4, "to": 1}]
    run_rewind(several.model_copy(update={"topics": f"^{first}"}), 0)
    assert committed(several) == [0, 0]
    with pytest.raises(UsageError, match=f"the consumers do not read {several.dead_letter_topic}"):
        run_rewind(several, 1, "--topic", several.dead_letter_topic)


def test_skip_batch_needs_the_topic(several: KafkaSettings) -> None:
    parser = argparse.ArgumentParser()
    skip_batch.add_arguments(parser)

    def skip(*options: str) -> None:
        skip_batch.run(parser.parse_args(["0", "0", "--dry-run", *options]), Settings(kafka=several), ShutdownEvent())

    with pytest.raises(UsageError, match="--topic is required, because the consumers read several topics"):
        skip()
    for topic in several.subscription.names:
        with pytest.raises(CommandFailed, match="partition 0 is readable at the group's offset 5; nothing was skipped"):
            skip("--topic", topic)


def test_an_erasure_is_not_undone_if_any_topic_has_a_record_of_the_order(
    several: KafkaSettings, both_settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = both_settings.model_copy(update={"kafka": several})
    first, second = several.subscription.names
    erase_command.run(settings, "--yes", "a", "b", "c")
    for topic, uid in ((first, "a"), (second, "b")):
        erase_command.produce(settings, [Sent(encode(order_document(order_uid=uid)), uid.encode())], topic)
    capsys.readouterr()
    with pytest.raises(CommandFailed, match="2 of 3 erasures were not undone"):
        erase_command.run(settings, "--undo", "a", "b", "c")
    assert capsys.readouterr().out.splitlines() == [
        f"a: not undone: the record at {first}, partition 0, offset 5 may have been skipped",
        f"b: not undone: the record at {second}, partition 0, offset 5 may have been skipped",
        "c: undone",
    ]


def test_erasures_are_forgotten_only_if_no_topic_may_have_a_record(
    several: KafkaSettings, both_settings: Settings
) -> None:
    settings = both_settings.model_copy(update={"kafka": several})
    first, second = several.subscription.names
    for topic in (first, several.dead_letter_topic):
        configure_topic(several.bootstrap_servers, topic, {"retention.ms": 1_000, "segment.ms": 1_000})
    with pytest.raises(CommandFailed, match=f"--forget-older-than is too short: .*{second}"):
        erase_command.run(settings, "--forget-older-than", "1d")
    configure_topic(several.bootstrap_servers, second, {"retention.ms": 1_000, "segment.ms": 1_000})
    assert erase_command.run(settings, "--forget-older-than", "1d") == 0
