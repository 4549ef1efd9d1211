"""`orders skip-batch`: saves a batch that the consumer cannot decompress to a file, and commits the offset after it.

librdkafka rejects a batch that expands beyond `receive.message.max.bytes`, and fetches it again forever.
"""

import argparse
from pathlib import Path
from typing import Final

from service.app.commands.connections.kafka_clients import unreadable_batches
from service.app.commands.topic_option import add_topic_option, required_topic
from service.config import Settings
from service.errors import BatchNotSkipped, CommandFailed
from service.handler.kafka.operations.unreadable_batches import LARGEST_MAX_SIZE_BYTES
from service.pkg.argtypes import non_negative_int
from service.pkg.exit_codes import ExitCode
from service.pkg.report import Report, add_json_option, reporting
from service.pkg.units import parse_bytes
from service.usecases import skip_batch
from service.usecases.ports.operations import RecordBatchSource

_DEFAULT_MAX_SIZE: Final = "512MiB"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("partition", type=non_negative_int, metavar="PARTITION", help="partition of the topic")
    parser.add_argument(
        "offset", type=non_negative_int, metavar="OFFSET", help="first offset of the batch, from the consumer's log"
    )
    add_topic_option(parser, "topic of the partition; required if the consumers read several topics")
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
    add_json_option(parser)


def _size(text: str) -> int:
    try:
        size = int(parse_bytes(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not 0 < size <= LARGEST_MAX_SIZE_BYTES:
        raise argparse.ArgumentTypeError(f"must be at most {LARGEST_MAX_SIZE_BYTES} bytes, the client's maximum")
    return size


def run(args: argparse.Namespace, settings: Settings, _stop: object) -> int:
    """Save one batch and commit the offset after it; return the exit code. Raises OrdersError."""
    topic = required_topic("skip-batch", args.topic, settings.kafka.subscription)
    try:
        with reporting(args) as report, unreadable_batches(settings.kafka, args.max_size, topic) as batches:
            report.add(topic=topic)
            _skip(args, batches, report)
    except BatchNotSkipped as error:
        raise CommandFailed(f"{error}; nothing was skipped") from None
    return ExitCode.DONE


def _skip(args: argparse.Namespace, batches: RecordBatchSource, report: Report) -> None:
    if args.dry_run:
        batch, count = skip_batch.preview(batches, partition=args.partition, offset=args.offset)
        report.line(f"{batch}: {count:,} messages would be skipped")
    else:
        batch, count = skip_batch.skip(batches, partition=args.partition, offset=args.offset, path=args.to)
        report.line(f"{batch}: saved {count:,} messages to {args.to}; consumers continue at offset {batch.end}")
    report.add(
        partition=batch.partition,
        first_offset=batch.begin,
        next_offset=batch.end,
        messages=count,
        file=None if args.dry_run else str(args.to),
        is_dry_run=args.dry_run,
    )
