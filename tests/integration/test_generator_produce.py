"""`orders generate` with a real broker."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from generator import generate
from generator.options import plan_from
from generator.stream import STALE, STALE_BY_MS, UPDATE, VALID, Plan, stream
from service.config import KafkaSettings, Settings
from service.errors import KafkaRequestFailed
from service.pkg.shutdown_event import ShutdownEvent
from tests.kit.generate_arguments import parse
from tests.kit.servers import Kafka
from tests.kit.waiting import eventually

READ_TIMEOUT_SECONDS = 30.0
UNTIL = "2025-01-01T00:00:00Z"  # the default of Plan


@pytest.fixture
def reader(kafka_server: Kafka, topic: str) -> Iterator[Consumer]:
    """A consumer at the beginning of all partitions."""
    consumer = Consumer({"bootstrap.servers": kafka_server.bootstrap_servers, "group.id": topic})
    partitions = consumer.list_topics(topic, READ_TIMEOUT_SECONDS).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
    yield consumer
    consumer.close()


def run(server: Kafka, topic: str, *options: str) -> int:
    return generate.run(parse("--until", UNTIL, *options), settings(server, topic), ShutdownEvent())


def settings(server: Kafka, topic: str, **properties: str) -> Settings:
    kafka = KafkaSettings(bootstrap_servers=server.bootstrap_servers, topic=topic, properties=properties)
    return Settings(kafka=kafka)


def consume(consumer: Consumer, count: int) -> list[Message]:
    messages: list[Message] = []

    def complete() -> bool:
        messages.extend(consumer.consume(count - len(messages), 1.0))
        return len(messages) >= count

    eventually(complete, READ_TIMEOUT_SECONDS, f"{count} messages")
    return messages


def message_count(consumer: Consumer) -> int:
    ends = (consumer.get_watermark_offsets(partition, READ_TIMEOUT_SECONDS)[1] for partition in consumer.assignment())
    return sum(ends)


def test_the_topic_receives_the_stream_byte_for_byte(
    kafka_server: Kafka, topic: str, reader: Consumer, capsys: pytest.CaptureFixture[str]
) -> None:
    options = shlex.split("--count 2000 --seed 7 --invalid 0.2 --duplicates 0.1 --stale 0.1 --tombstones 0.1")
    assert run(kafka_server, topic, *options) == 0
    sent = Counter((message.key, message.value) for message in stream(plan_from(parse(*options))))
    assert Counter((message.key(), message.value()) for message in consume(reader, 2000)) == sent
    assert "delivered 2,000, failed 0" in capsys.readouterr().out


def test_json_has_the_counts(kafka_server: Kafka, topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(kafka_server, topic, "--count", "20", "--invalid", "0.5", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report.pop("seconds") > 0
    assert sum(report["sent"].values()) == report["delivered"] == 20
    assert report.keys() == {"sent", "delivered", "failed", "until"}
    assert report["failed"] == {}


def test_dates_end_at_the_start_of_the_run_and_until_reproduces_it(
    kafka_server: Kafka, topic: str, reader: Consumer, capsys: pytest.CaptureFixture[str]
) -> None:
    args = parse("--count", "2000", "--seed", "7")
    before = datetime.now(UTC)
    assert generate.run(args, settings(kafka_server, topic), ShutdownEvent()) == 0
    produced = {message.value() for message in consume(reader, 2_000)}
    newest = max(datetime.fromisoformat(json.loads(value)["date_created"]) for value in produced if value)
    assert timedelta(hours=-6) < newest - before < timedelta(seconds=READ_TIMEOUT_SECONDS)  # 30 days of 2,000 orders
    until = re.search(r"--until (\S+)$", capsys.readouterr().out)
    assert until
    again = plan_from(parse("--count", "2000", "--seed", "7", "--until", until[1]))
    assert {message.value for message in stream(again)} == produced


def test_the_newest_record_of_a_key_has_the_newest_version_of_the_order(
    kafka_server: Kafka, topic: str, reader: Consumer
) -> None:
    plan = Plan(count=2_000, seed=3, duplicates=0.2, stale=0.2, updates=0.2)
    options = shlex.split("--count 2000 --seed 3 --duplicates 0.2 --stale 0.2 --updates 0.2")
    assert run(kafka_server, topic, *options) == 0
    expected = {message.key: message.value for message in stream(plan) if message.kind in {VALID, UPDATE}}
    records = sorted(consume(reader, 2_000), key=lambda record: (record.timestamp()[1], record.offset()))
    assert {record.key(): record.value() for record in records} == expected


def test_the_records_of_a_key_share_a_partition(kafka_server: Kafka, topic: str, reader: Consumer) -> None:
    assert run(kafka_server, topic, "--count", "1000", "--duplicates", "0.5") == 0
    partitions: dict[bytes | str | None, set[int | None]] = {}
    for record in consume(reader, 1_000):
        partitions.setdefault(record.key(), set()).add(record.partition())
    assert {len(each) for each in partitions.values()} == {1}


def test_stale_records_are_a_minute_older_than_the_run(kafka_server: Kafka, topic: str, reader: Consumer) -> None:
    assert run(kafka_server, topic, "--count", "500", "--stale", "0.2") == 0
    kinds = [message.kind for message in stream(Plan(count=500, stale=0.2))]
    timestamps = sorted(record.timestamp()[1] for record in consume(reader, 500))
    stale = kinds.count(STALE)
    assert timestamps[stale] - timestamps[stale - 1] >= STALE_BY_MS


def test_values_over_1_mib_fit_a_topic_with_default_limits(kafka_server: Kafka, topic: str, reader: Consumer) -> None:
    plan = Plan(count=120, invalid=1.0, too_large=True)
    assert run(kafka_server, topic, "--count", "120", "--invalid", "1", "--too-large") == 0
    sizes = sorted(len(message.value or b"") for message in stream(plan))
    assert sorted(len(record.value() or b"") for record in consume(reader, 120)) == sizes
    assert sizes[-1] > 2**20


def test_rejected_messages_are_counted_and_fail_the_run(
    kafka_server: Kafka, topic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    args = parse("--count", "120", "--invalid", "1", "--too-large")
    uncompressed = settings(kafka_server, topic, **{"compression.type": "none"})
    assert generate.run(args, uncompressed, ShutdownEvent()) == 1
    assert "MSG_SIZE_TOO_LARGE" in capsys.readouterr().out


def test_an_unreachable_broker_is_reported_in_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KafkaRequestFailed, match=r"^cannot reach Kafka at 127\.0\.0\.1:1: connection refused"):
        run(Kafka("127.0.0.1:1"), "orders")
    assert "127.0.0.1:1/" not in capfd.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_an_endless_run_after_all_acknowledgements(
    kafka_server: Kafka, topic: str, reader: Consumer, number: signal.Signals
) -> None:
    options = ["--count", "0", "--rate", "500", "--topic", topic, "--bootstrap-servers", kafka_server.bootstrap_servers]
    program = (
        "import argparse, sys; from generator import generate; from service.config import Settings;"
        "from service.pkg.shutdown_event import ShutdownEvent;"
        "parser = argparse.ArgumentParser();"
        "generate.add_arguments(parser);"
        "sys.exit(generate.run(parser.parse_args(), Settings(), ShutdownEvent()))"
    )
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(  # noqa: S603 - a fixed program
        [sys.executable, "-c", program, *options],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        eventually(lambda: message_count(reader) > 100, READ_TIMEOUT_SECONDS, "100 messages")
        process.send_signal(number)
        out, err = process.communicate(timeout=READ_TIMEOUT_SECONDS)
    assert (process.returncode, err) == (0, "")
    assert f"delivered {message_count(reader):,}, failed 0" in out
