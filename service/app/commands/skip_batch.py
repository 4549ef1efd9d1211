"""`orders skip-batch`: saves the messages of a batch that consumers can't decompress, then moves the group past it.

The client refuses a batch that expands beyond `receive.message.max.bytes`, and retries it without end.
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
from service.entities.errors import CommandRefused
from service.handler.kafka.client import properties, topics
from service.handler.kafka.client.connection_errors import DiagnosticAdminClient, require_kafka
from service.handler.kafka.client.headers import headers_of
from service.handler.kafka.client.topic_id import fetch_topic_id
from service.handler.kafka.client.topic_reader import CALL_TIMEOUT_SECONDS, IDLE_TIMEOUT_SECONDS, TopicReader
from service.pkg.argtypes import whole
from service.pkg.polling import echo
from service.pkg.units import parse_bytes

_POLL_SECONDS: Final = 0.25
_RETRY_MS: Final = 10
"""How soon the client fetches again after a batch that it could not decompress; 500 by default, for each attempt."""
_DEFAULT_SIZE: Final = "512MiB"
_LARGEST_SIZE: Final = 2**31 - 1
"""The maximum of `receive.message.max.bytes`."""


class UnreadableBatch(NamedTuple):
    """What is unread of one batch: from `begin` to before `end`."""

    partition: int
    begin: int
    end: int

    def __str__(self) -> str:
        return f"partition {self.partition}, offsets {self.begin} to {self.end - 1}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("partition", type=whole, metavar="PARTITION")
    parser.add_argument("offset", type=whole, metavar="OFFSET", help="where the batch begins, from the consumer's log")
    either = parser.add_mutually_exclusive_group(required=True)
    either.add_argument(
        "--to", type=Path, metavar="FILE",
        help="write its messages, with all personal data, to this new file; then commit the offset behind them",
    )  # fmt: skip
    either.add_argument("--dry-run", action="store_true", help="say what would be skipped, and change nothing")
    parser.add_argument(
        "--max-size", type=_size, default=_DEFAULT_SIZE, metavar="SIZE",
        help="receive.message.max.bytes of this command, below 2GiB; it may take 200MiB more (default: %(default)s)",
    )  # fmt: skip


def _size(text: str) -> int:
    try:
        size = int(parse_bytes(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not 0 < size <= _LARGEST_SIZE:
        raise argparse.ArgumentTypeError(f"must be at most {_LARGEST_SIZE} bytes, the client's maximum")
    return size


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Save one batch and commit the offset behind it; return the exit code. Raises CommandRefused, KafkaException."""
    kafka = settings.kafka
    require_kafka(properties.common(kafka))
    admin = DiagnosticAdminClient(properties.without_logs(properties.common(kafka)))
    require_no_members(kafka, admin)
    topic_id = fetch_topic_id(admin, kafka.topic, CALL_TIMEOUT_SECONDS)
    with (
        closing(Consumer(_client(kafka))) as ordinary,
        closing(Consumer(_client(kafka) | {"receive.message.max.bytes": args.max_size})) as large,
    ):
        topic = TopicReader(ordinary, kafka.topic, topic_id)
        batch = _find(ordinary, topic, args.partition, args.offset)
        messages = _read(large, topic.name, batch)
        if args.dry_run:
            count = sum(1 for _ in messages)
            echo(f"{batch}: {count:,} messages would be skipped")
            return 0
        count = _save(args.to, messages)
        if count < batch.end - batch.begin and not topics.is_compacted(topic.name, admin):
            raise CommandRefused(f"{batch}: only {count:,} messages came; {args.to} has them, nothing was skipped")
        topic.commit({batch.partition: batch.end})
    echo(f"{batch}: {count:,} messages are in {args.to}, and consumers go on at offset {batch.end}")
    return 0


def _client(kafka: Kafka) -> properties.Properties:
    return properties.without_logs(properties.consumer(kafka)) | {
        "statistics.interval.ms": 0,
        "fetch.error.backoff.ms": _RETRY_MS,
        "auto.offset.reset": "error",  # a batch that retention removes meanwhile must not be taken for another one
    }


def _find(consumer: Consumer, topic: TopicReader, partition: int, offset: int) -> UnreadableBatch:
    """Return the batch that holds the group up. Raises CommandRefused where none does, or another one."""
    if partition not in topic.ends:
        raise CommandRefused(f"topic {topic.name} has no partition {partition}")
    start = topic.starts[partition]
    begin = max(topic.committed().get(partition, start), start)
    base = _base_offset(consumer, topic.name, partition, begin)
    if base is None:
        raise CommandRefused(
            f"partition {partition} can be read at offset {begin}, where the group goes on: nothing was skipped"
        )
    if offset not in (base, begin):
        raise CommandRefused(
            f"the group goes on at offset {begin} of partition {partition}, "
            f"in a batch that begins at {base}: nothing was skipped at {offset}"
        )
    later = range(begin + 1, topic.ends[partition])
    index = bisect_left(later, x=True, key=lambda each: _base_offset(consumer, topic.name, partition, each) != base)
    return UnreadableBatch(partition, begin, begin + 1 + index)


def _base_offset(consumer: Consumer, topic: str, partition: int, offset: int) -> int | None:
    """Return where the batch begins that holds an offset, None where the client can read there.

    A broker returns batches whole, whichever of their offsets is asked for, and the client's error names the first.
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
    """Yield the messages of the batch. Raises CommandRefused where this client can't decompress it either."""
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
            raise CommandRefused(
                f"{batch}: the batch can't be decompressed within --max-size; nothing was skipped. "
                f"Raise --max-size, up to {_LARGEST_SIZE} bytes; "
                "where that does not help, kafka-dump-log.sh on the broker may read it"
            )
        else:
            raise KafkaException(error)


def _next(consumer: Consumer) -> Message:
    deadline = monotonic() + IDLE_TIMEOUT_SECONDS
    while monotonic() < deadline:
        if (message := consumer.poll(_POLL_SECONDS)) is not None:
            return message
    raise CommandRefused(f"Kafka sent nothing for {IDLE_TIMEOUT_SECONDS:g} s")


def _save(path: Path, messages: Iterable[Message]) -> int:
    """Write one line of JSON for each message, durably; return how many. Raises CommandRefused."""
    count = 0
    try:
        with _new_file(path) as file:
            for message in messages:
                file.write(_line(message))
                count += 1
    except FileExistsError:
        raise CommandRefused(f"cannot write {path}: it exists already; name a new file") from None
    except OSError as error:
        raise CommandRefused(f"cannot write {path}: {error.strerror}; nothing was skipped") from None
    return count


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """Make a file that nobody else may read; it is on the disk when the block has ended, and gone if that fails."""
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
    """Make a new file's name durable as well."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _line(message: Message) -> bytes:
    """Return a message as JSON; key, value and the values of headers are base64, or null."""
    return encode({
        "topic": message.topic(), "partition": message.partition(), "offset": message.offset(),
        "timestamp_ms": message.timestamp()[1], "key": message.key(), "value": message.value(),
        "headers": headers_of(message),
    }) + b"\n"  # fmt: skip
