"""`orders skip-batch`: saves a batch that the consumer can't decompress to a file, and commits the offset after it.

librdkafka rejects a batch that expands beyond `receive.message.max.bytes`, and fetches it again forever.
"""

import argparse
import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic
from typing import BinaryIO, Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from msgspec.json import encode

from service.app.shared import require_no_members
from service.config import Kafka, Settings
from service.errors import CommandError
from service.handler.kafka.client import properties, topics
from service.handler.kafka.client.connection_errors import DiagnosticAdminClient, require_kafka
from service.handler.kafka.client.headers import headers_of
from service.handler.kafka.client.topic_id import fetch_topic_id
from service.handler.kafka.client.topic_reader import CALL_TIMEOUT_SECONDS, IDLE_TIMEOUT_SECONDS, TopicReader
from service.pkg.argtypes import non_negative_int
from service.pkg.output import echo
from service.pkg.units import parse_bytes

_POLL_TIMEOUT_SECONDS: Final = 0.25
_FETCH_RETRY_MS: Final = 10
"""`fetch.error.backoff.ms`: the delay after each batch that can't be decompressed; 500 by default."""
_DEFAULT_MAX_SIZE: Final = "512MiB"
_LARGEST_MAX_SIZE_BYTES: Final = 2**31 - 1
"""The maximum of `receive.message.max.bytes`."""


class UnreadableBatch(NamedTuple):
    """The unread offsets of one batch, from `begin` up to but excluding `end`."""

    partition: int
    begin: int
    end: int

    def __str__(self) -> str:
        return f"partition {self.partition}, offsets {self.begin} to {self.end - 1}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("partition", type=non_negative_int, metavar="PARTITION", help="partition of the order topic")
    parser.add_argument(
        "offset", type=non_negative_int, metavar="OFFSET", help="first offset of the batch, from the consumer's log"
    )
    either = parser.add_mutually_exclusive_group(required=True)
    either.add_argument(
        "--to", type=Path, metavar="FILE",
        help="write the messages, including personal data, to this new file; then commit the offset after them",
    )  # fmt: skip
    either.add_argument("--dry-run", action="store_true", help="print what would be skipped, and change nothing")
    parser.add_argument(
        "--max-size", type=_size, default=_DEFAULT_MAX_SIZE, metavar="SIZE",
        help="receive.message.max.bytes for this command, below 2GiB; it needs up to 200MiB more memory "
        "(default: %(default)s)",
    )  # fmt: skip


def _size(text: str) -> int:
    try:
        size = int(parse_bytes(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not 0 < size <= _LARGEST_MAX_SIZE_BYTES:
        raise argparse.ArgumentTypeError(f"must be at most {_LARGEST_MAX_SIZE_BYTES} bytes, the client's maximum")
    return size


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Save one batch and commit the offset after it; return the exit code. Raises CommandError, KafkaException."""
    kafka = settings.kafka
    require_kafka(properties.common(kafka))
    admin = DiagnosticAdminClient(properties.without_logs(properties.common(kafka)))
    require_no_members(kafka, admin)
    topic_id = fetch_topic_id(admin, kafka.topic, CALL_TIMEOUT_SECONDS)
    with (
        closing(Consumer(_client(kafka))) as consumer,
        closing(Consumer(_client(kafka) | {"receive.message.max.bytes": args.max_size})) as large_consumer,
    ):
        topic = TopicReader(consumer, kafka.topic, topic_id)
        batch = _find(consumer, topic, args.partition, args.offset)
        messages = _read(large_consumer, topic.name, batch)
        if args.dry_run:
            count = sum(1 for _ in messages)
            echo(f"{batch}: {count:,} messages would be skipped")
            return 0
        count = _save(args.to, messages)
        if count < batch.end - batch.begin and not topics.is_compacted(topic.name, admin):
            raise CommandError(
                f"{batch}: only {count:,} messages were read and saved to {args.to}; nothing was skipped"
            )
        topic.commit({batch.partition: batch.end})
    echo(f"{batch}: saved {count:,} messages to {args.to}; consumers continue at offset {batch.end}")
    return 0


def _client(kafka: Kafka) -> properties.Properties:
    return properties.command_consumer(kafka) | {
        "fetch.error.backoff.ms": _FETCH_RETRY_MS,
        "auto.offset.reset": "error",  # if retention deletes the batch meanwhile, fail instead of skipping another one
    }


def _find(consumer: Consumer, topic: TopicReader, partition: int, offset: int) -> UnreadableBatch:
    """Return the batch that blocks the group. Raises CommandError if no batch or another one does."""
    if partition not in topic.ends:
        raise CommandError(f"topic {topic.name} has no partition {partition}")
    start = topic.starts[partition]
    begin = max(topic.committed().get(partition, start), start)
    base = _base_offset(consumer, topic.name, partition, begin)
    if base is None:
        raise CommandError(f"partition {partition} is readable at the group's offset {begin}: nothing was skipped")
    if offset not in (base, begin):
        raise CommandError(
            f"offset {offset} of partition {partition} is not in the batch that blocks the group: "
            f"the group's offset is {begin}, in a batch that starts at {base}; nothing was skipped"
        )
    later = range(begin + 1, topic.ends[partition])
    index = bisect_left(later, x=True, key=lambda each: _base_offset(consumer, topic.name, partition, each) != base)
    return UnreadableBatch(partition, begin, begin + 1 + index)


def _base_offset(consumer: Consumer, topic: str, partition: int, offset: int) -> int | None:
    """Return the first offset of the unreadable batch at this offset; None if the client can read there.

    Brokers always return whole batches, and the client's error has the first offset of the batch.
    """
    consumer.assign([TopicPartition(topic, partition, offset)])
    message = _next(consumer)
    error = message.error()
    if error is None or error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's name
        return None
    if error.code() != KafkaError._BAD_COMPRESSION:  # noqa: SLF001 - librdkafka's name
        raise KafkaException(error)
    return message.offset()


def _read(consumer: Consumer, topic: str, batch: UnreadableBatch) -> Iterator[Message]:
    """Yield the messages of the batch. Raises CommandError if it exceeds --max-size."""
    consumer.assign([TopicPartition(topic, batch.partition, batch.begin)])
    last = batch.begin - 1
    while last < batch.end - 1:
        message = _next(consumer)
        last, error = message.offset() or 0, message.error()
        if last >= batch.end:  # compaction removed the batch's last message
            return
        if error is None:
            yield message
        elif error.code() == KafkaError._BAD_COMPRESSION:  # noqa: SLF001 - librdkafka's name
            raise CommandError(
                f"{batch}: the batch can't be decompressed within --max-size; nothing was skipped. "
                f"Raise --max-size, up to {_LARGEST_MAX_SIZE_BYTES} bytes; "
                "if that fails too, try kafka-dump-log.sh on the broker"
            )
        else:
            raise KafkaException(error)


def _next(consumer: Consumer) -> Message:
    deadline = monotonic() + IDLE_TIMEOUT_SECONDS
    while monotonic() < deadline:
        if (message := consumer.poll(_POLL_TIMEOUT_SECONDS)) is not None:
            return message
    raise CommandError(f"reading from Kafka timed out: no message for {IDLE_TIMEOUT_SECONDS:g} s")


def _save(path: Path, messages: Iterable[Message]) -> int:
    """Write each message as a line of JSON and sync the file; return their number. Raises CommandError."""
    count = 0
    try:
        with _new_file(path) as file:
            for message in messages:
                file.write(_line(message))
                count += 1
    except FileExistsError:
        raise CommandError(f"cannot write {path}: file exists; choose a new file") from None
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror}; nothing was skipped") from None
    return count


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """Create a file with mode 600. It is synced to disk at the end of the block, and removed on an error."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        _sync_directory(path.parent)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _sync_directory(path: Path) -> None:
    """Sync the directory entry of a new file."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _line(message: Message) -> bytes:
    """Encode a message as JSON; key, value and header values are base64 or null."""
    return encode({
        "topic": message.topic(), "partition": message.partition(), "offset": message.offset(),
        "timestamp_ms": message.timestamp()[1], "key": message.key(), "value": message.value(),
        "headers": headers_of(message),
    }) + b"\n"  # fmt: skip
