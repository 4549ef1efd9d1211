"""`orders rewind` on a real Kafka."""

import argparse
import json
from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from service.app.commands import rewind
from service.config import KafkaSettings, Settings
from service.errors import CommandFailed
from service.handler.kafka.client import properties
from service.pkg.shutdown_event import ShutdownEvent

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
FAR = 10.0


def run_rewind(kafka: KafkaSettings, to: datetime, *options: str) -> dict[int, int]:
    """Run the command and return the committed offsets afterwards."""
    parser = argparse.ArgumentParser()
    rewind.add_arguments(parser)
    arguments = parser.parse_args(["--to-timestamp", to.isoformat(), *options])
    assert rewind.run(arguments, Settings(kafka=kafka), ShutdownEvent()) == 0
    return committed(kafka)


def committed(kafka: KafkaSettings) -> dict[int, int]:
    consumer = Consumer(properties.consumer(kafka))
    found = consumer.committed([TopicPartition(kafka.topic, number) for number in range(3)], timeout=FAR)
    consumer.close()
    return {each.partition: each.offset for each in found if each.offset >= 0}


def metadata(kafka: KafkaSettings) -> str:
    """Return the metadata of the commit of partition 0."""
    consumer = Consumer(properties.consumer(kafka))
    (found,) = consumer.committed([TopicPartition(kafka.topic, 0)], timeout=FAR)
    consumer.close()
    return found.metadata or ""


def commit_offsets(kafka: KafkaSettings, offsets: dict[int, int], metadata: str = "") -> None:
    """Produce ten messages, one a minute from noon, to partitions 0 and 1, and commit offsets."""
    producer = Producer(properties.producer(kafka))
    for partition in (0, 1):
        for minute in range(10):
            timestamp = NOON + timedelta(minutes=minute)
            producer.produce(kafka.topic, b"x", partition=partition, timestamp=round(timestamp.timestamp() * 1000))
    assert producer.flush(FAR) == 0
    consumer = Consumer(properties.consumer(kafka))
    positions = [TopicPartition(kafka.topic, partition, offset, metadata) for partition, offset in offsets.items()]
    consumer.commit(offsets=positions, asynchronous=False)
    consumer.close()


def test_offsets_move_back_to_the_time_and_never_forward(kafka: KafkaSettings) -> None:
    commit_offsets(kafka, {0: 10, 1: 2})
    assert run_rewind(kafka, NOON + timedelta(minutes=4)) == {0: 4, 1: 2}


def test_committed_offsets_of_a_deleted_topic_are_unchanged(kafka: KafkaSettings) -> None:
    """The consumer ignores them and reads from the beginning; committing an offset would skip messages."""
    commit_offsets(kafka, {0: 10, 1: 10}, "topic-id=03khuBS4QPyPcMhe5ZSsuQ")
    assert run_rewind(kafka, NOON + timedelta(minutes=4)) == {0: 10, 1: 10}


def test_new_offsets_are_committed_with_the_topic_id(kafka: KafkaSettings) -> None:
    commit_offsets(kafka, {0: 10})
    assert run_rewind(kafka, NOON + timedelta(minutes=4)) == {0: 4}
    assert run_rewind(kafka, NOON + timedelta(minutes=2)) == {0: 2}
    assert metadata(kafka).startswith("topic-id=")


def test_a_time_after_the_last_message_changes_nothing(kafka: KafkaSettings) -> None:
    commit_offsets(kafka, {0: 10, 1: 2})
    assert run_rewind(kafka, NOON + timedelta(days=1)) == {0: 10, 1: 2}


def test_a_dry_run_prints_what_would_be_read_and_changes_nothing(
    kafka: KafkaSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    commit_offsets(kafka, {0: 10})
    assert run_rewind(kafka, NOON, "--dry-run") == {0: 10}
    assert capsys.readouterr().out.splitlines() == ["partition 0: 10 -> 0", "10 offsets would be read again"]


def test_json_lists_each_partition(kafka: KafkaSettings, capsys: pytest.CaptureFixture[str]) -> None:
    commit_offsets(kafka, {0: 10, 1: 2})
    run_rewind(kafka, NOON + timedelta(minutes=4), "--json")
    assert json.loads(capsys.readouterr().out) == {
        "partitions": [
            {"topic": kafka.topic, "partition": 0, "from": 10, "to": 4},
            {"topic": kafka.topic, "partition": 1, "from": 2, "to": 2},
        ],
        "offsets_to_reread": 6,
        "is_dry_run": False,
    }


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_group_with_members_is_refused(kafka: KafkaSettings, protocol: str) -> None:
    live = kafka.model_copy(update={"group_protocol": protocol})
    commit_offsets(live, {0: 10})
    member = Consumer(properties.consumer(live))
    member.subscribe([kafka.topic])
    assert member.poll(FAR) is not None
    with pytest.raises(CommandFailed, match="has members: stop the consumers first"):
        run_rewind(live, NOON)
    member.close()
    assert run_rewind(live, NOON) == {0: 0}


def test_a_time_without_a_zone_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    rewind.add_arguments(parser)
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(["--to-timestamp", "2026-11-23T12:00:00"])
    assert "must be a timestamp with a time zone" in capsys.readouterr().err
