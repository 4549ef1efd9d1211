"""`orders skip-batch` on a real Kafka, with batches beyond the client's limit."""

import argparse
import json
import resource
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from msgspec.json import decode, encode

from service.app.commands import skip_batch
from service.app.commands.connections.kafka_clients import unreadable_batches
from service.config import KafkaSettings, Settings
from service.errors import BatchNotSkipped, CommandFailed, KafkaRequestFailed
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.ports.operations import RecordBatchSource, UnreadableRecordBatch
from tests.kit.factories import Document, order_document
from tests.kit.fakes import FakeRecordBatchSource
from tests.kit.harness import TIMEOUT_SECONDS, Harness, Sent, orders
from tests.kit.waiting import eventually

MIB = 2**20
LIMITS = {"receive.message.max.bytes": 2_000_000, "fetch.max.bytes": 1_000_000}
PROPERTIES = encode(LIMITS).decode()
SIZE, COUNT = 1_000_000, 4
"""Size and number of the orders in a batch: together twice the limit, each below it."""
STUCK = "a batch of messages cannot be decompressed"


@pytest.fixture
def kafka(harness: Harness) -> KafkaSettings:
    return KafkaSettings(
        bootstrap_servers=harness.bootstrap_servers,
        topic=harness.topic,
        group_id=harness.topic,
        properties=dict(LIMITS),
    )


def skip(kafka: KafkaSettings, offset: int, *options: object, partition: int = 0) -> None:
    parser = argparse.ArgumentParser()
    skip_batch.add_arguments(parser)
    arguments = parser.parse_args([str(partition), str(offset), *map(str, options)])
    assert skip_batch.run(arguments, Settings(kafka=kafka), ShutdownEvent()) == 0


def produce_batch(harness: Harness) -> list[Document]:
    """Produce orders as one zstd batch to partition 0, and return them."""
    producer = Producer({
        "bootstrap.servers": harness.bootstrap_servers, "compression.type": "zstd", "linger.ms": 60_000,
        "message.max.bytes": 10**9, "batch.size": 10**9,
    })  # fmt: skip
    producer.list_topics(harness.topic, timeout=TIMEOUT_SECONDS)  # while partitions are unknown, a flush splits batches
    documents = [order_document(extra="x" * SIZE) for _ in range(COUNT)]
    for document in documents:
        producer.produce(
            harness.topic, encode(document), uid(document), 0, headers=[("trace", b"\0\xff"), ("no", None)]
        )
    assert producer.flush(TIMEOUT_SECONDS) == 0
    return documents


def uid(document: Document) -> str:
    return str(document["order_uid"])


def uids(*documents: Document) -> set[str]:
    return {uid(document) for document in documents}


def saved(file: Path) -> list[dict[str, object]]:
    return [decode(line) for line in file.read_bytes().splitlines()]


def commit(harness: Harness, offset: int) -> None:
    consumer = Consumer({"bootstrap.servers": harness.bootstrap_servers, "group.id": harness.topic})
    consumer.commit(offsets=[TopicPartition(harness.topic, 0, offset)], asynchronous=False)
    consumer.close()


def metadata(harness: Harness) -> str:
    """Return the metadata of the commit of partition 0."""
    consumer = Consumer({"bootstrap.servers": harness.bootstrap_servers, "group.id": harness.topic})
    (found,) = consumer.committed([TopicPartition(harness.topic, 0)], timeout=TIMEOUT_SECONDS)
    consumer.close()
    return found.metadata or ""


@contextmanager
def max_file_size(size: int) -> Iterator[None]:
    """Make writes beyond this file size fail."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_the_batch_is_saved_and_the_group_continues_after_it(
    harness: Harness, kafka: KafkaSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = order_document(), order_document()
    harness.produce(*orders([before]))
    first, second = produce_batch(harness), produce_batch(harness)
    harness.produce(*orders([after]))
    consumer = harness.consumer(ORDERS_KAFKA__PROPERTIES=PROPERTIES)
    hint = f"`orders skip-batch 0 1 --topic {harness.topic} --to FILE`"
    eventually(lambda: hint in consumer.log.read_text(), what="the hint is logged")
    with pytest.raises(CommandFailed, match="has members: stop the consumers first"):
        skip(kafka, 1, "--to", tmp_path / "rejected")
    assert consumer.stop() == 0
    assert (harness.stored(), harness.committed()[0]) == (uids(before), 1)

    capsys.readouterr()
    skip(kafka, 1, "--dry-run", "--json")
    assert json.loads(capsys.readouterr().out) == {
        "topic": kafka.topic,
        "partition": 0,
        "first_offset": 1,
        "next_offset": 1 + COUNT,
        "messages": COUNT,
        "file": None,
        "is_dry_run": True,
    }
    assert harness.committed()[0] == 1
    file = tmp_path / "first"
    skip(kafka, 1, "--to", file)
    assert harness.committed()[0] == 1 + COUNT
    assert metadata(harness).startswith("topic-id=")
    assert file.stat().st_mode & 0o777 == 0o600
    lines = saved(file)
    assert [line["offset"] for line in lines] == [*range(1, 1 + COUNT)]
    assert [decode(b64decode(str(line["value"]))) for line in lines] == first
    assert [b64decode(str(line["key"])).decode() for line in lines] == [uid(document) for document in first]
    assert lines[0]["headers"] == [["trace", "AP8="], ["no", None]]

    consumer = harness.consumer(ORDERS_KAFKA__PROPERTIES=PROPERTIES)
    eventually(lambda: STUCK in consumer.log.read_text(), what="the next batch blocks the consumer")
    assert consumer.stop() == 0
    skip(kafka, 1 + COUNT, "--to", tmp_path / "second")
    assert len(saved(tmp_path / "second")) == len(second)
    harness.consumer(ORDERS_KAFKA__PROPERTIES=PROPERTIES)
    harness.wait_stored(uids(before, after))
    for line in lines:
        harness.produce(Sent(b64decode(str(line["value"])), b64decode(str(line["key"]))))
    harness.wait_stored(uids(before, *first, after))


def test_nothing_is_skipped_unless_the_whole_batch_is_saved(
    harness: Harness, kafka: KafkaSettings, tmp_path: Path
) -> None:
    produce_batch(harness)
    file = tmp_path / "file"
    with pytest.raises(KafkaRequestFailed, match=r"offsets 0 to 3: the batch cannot be decompressed within --max-size"):
        skip(kafka, 0, "--to", file, "--max-size", "3MiB")
    with max_file_size(3 * MIB), pytest.raises(CommandFailed, match="File too large; nothing was skipped"):
        skip(kafka, 0, "--to", file)
    assert not file.exists()
    with pytest.raises(CommandFailed, match="No such file or directory"):
        skip(kafka, 0, "--to", tmp_path / "nowhere" / "file")
    file.write_text("precious")
    with pytest.raises(CommandFailed, match="file exists"):
        skip(kafka, 0, "--to", file)
    assert file.read_text() == "precious"
    assert harness.committed() == {}


def test_only_the_batch_that_blocks_the_group_is_skipped(
    harness: Harness, kafka: KafkaSettings, tmp_path: Path
) -> None:
    harness.produce(*orders([order_document()]))
    produce_batch(harness)
    file = tmp_path / "file"
    with pytest.raises(CommandFailed, match="partition 0 is readable at the group's offset 0"):
        skip(kafka, 1, "--to", file)
    with pytest.raises(CommandFailed, match="partition 1 is readable at the group's offset 0"):
        skip(kafka, 0, "--to", file, partition=1)
    with pytest.raises(CommandFailed, match="has no partition 7"):
        skip(kafka, 0, "--to", file, partition=7)
    commit(harness, 3)
    with pytest.raises(CommandFailed, match="the group's offset is 3, in a batch that starts at 1"):
        skip(kafka, 2, "--to", file)
    assert not file.exists()
    assert harness.committed() == {0: 3}
    skip(kafka, 1, "--to", file)
    assert [line["offset"] for line in saved(file)] == [3, 4]
    assert harness.committed() == {0: 5}


@pytest.mark.parametrize("size", ["2GiB", "0", "much"])
def test_an_invalid_max_size_is_a_usage_error(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    skip_batch.add_arguments(parser)
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(["0", "0", "--dry-run", "--max-size", size])
    assert "--max-size" in capsys.readouterr().err


# The contract of RecordBatchSource


class BlockedGroup(NamedTuple):
    """A group that is blocked by the batch of COUNT messages at offset 0 of partition 0."""

    source: RecordBatchSource
    committed: Callable[[], dict[int, int]]


Blocked = Callable[..., AbstractContextManager[BlockedGroup]]


@contextmanager
def fake_group(*, is_compacted: bool) -> Iterator[BlockedGroup]:
    source = FakeRecordBatchSource(UnreadableRecordBatch(0, 0, COUNT), COUNT, is_compacted=is_compacted)
    yield BlockedGroup(source, lambda: {each.partition: each.end for each in source.committed})


@contextmanager
def kafka_group(harness: Harness, kafka: KafkaSettings, *, is_compacted: bool) -> Iterator[BlockedGroup]:
    produce_batch(harness)
    if is_compacted:
        harness.configure(harness.topic, cleanup_policy="compact")
    with unreadable_batches(kafka, 512 * MIB, kafka.topic) as source:
        yield BlockedGroup(source, harness.committed)


@pytest.fixture(params=["fake", "kafka"])
def blocked(request: pytest.FixtureRequest) -> Blocked:
    if request.param == "fake":
        return fake_group
    return partial(kafka_group, request.getfixturevalue("harness"), request.getfixturevalue("kafka"))


def test_the_blocking_batch_is_found_read_and_committed(
    blocked: Blocked,
) -> None:
    with blocked(is_compacted=False) as group:
        batch = group.source.find(0, 0)
        assert batch == UnreadableRecordBatch(0, 0, COUNT)
        assert [decode(line)["offset"] for line in group.source.lines(batch)] == [*range(COUNT)]
        assert all(line.endswith(b"\n") for line in group.source.lines(batch))
        assert group.committed() == {}
        group.source.commit(batch)
        assert group.committed() == {0: COUNT}


@pytest.mark.parametrize(("partition", "offset"), [(0, COUNT), (1, 0)])
def test_a_batch_that_does_not_block_the_group_is_not_found(blocked: Blocked, partition: int, offset: int) -> None:
    with blocked(is_compacted=False) as group, pytest.raises(BatchNotSkipped, match=f"partition {partition}"):
        group.source.find(partition, offset)


@pytest.mark.parametrize("is_compacted", [False, True])
def test_a_compacted_topic_is_known(blocked: Blocked, *, is_compacted: bool) -> None:
    with blocked(is_compacted=is_compacted) as group:
        assert group.source.is_compacted() is is_compacted
