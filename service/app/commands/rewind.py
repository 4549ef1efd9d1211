"""`orders rewind`: sets the group's offsets back to a point in time, after a database failover that lost commits.

Reading stored orders again changes nothing, because their versions are compared.
"""

import argparse
from collections.abc import Iterator
from contextlib import closing

from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient

from service.app.shared import require_no_members
from service.config import Settings
from service.handler.kafka.client import properties
from service.handler.kafka.client.connection_errors import require_kafka
from service.handler.kafka.client.topic_id import fetch_topic_id
from service.handler.kafka.client.topic_reader import CALL_TIMEOUT_SECONDS, Offsets, TopicReader
from service.pkg.output import echo
from service.pkg.timestamps import parse_timestamp, to_milliseconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--to-timestamp",
        type=parse_timestamp,
        required=True,
        metavar="TIME",
        help="read messages since this time again, such as 2026-11-23T10:00:00Z",
    )
    parser.add_argument("--dry-run", action="store_true", help="print what would be read again, and change nothing")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Set the group's offsets back, never forward; return the exit code. Raises CommandError, KafkaException."""
    require_kafka(properties.common(settings.kafka))
    with closing(Consumer(properties.command_consumer(settings.kafka))) as consumer:
        admin = AdminClient(properties.without_logs(properties.common(settings.kafka)))
        require_no_members(settings.kafka, admin)
        topic_id = fetch_topic_id(admin, settings.kafka.topic, CALL_TIMEOUT_SECONDS)
        topic = TopicReader(consumer, settings.kafka.topic, topic_id)
        _rewind(topic, to_milliseconds(args.to_timestamp), dry_run=args.dry_run)
    return 0


def _rewind(topic: TopicReader, timestamp_ms: int, *, dry_run: bool) -> None:
    committed = topic.committed()
    targets = _earlier(committed, topic.offsets_at(timestamp_ms))
    for line in _comparison(committed, targets):
        echo(line)
    if targets and not dry_run:
        topic.commit(targets)
    again = sum(committed[partition] - target for partition, target in targets.items())
    echo(f"{again:,} offsets {'would be' if dry_run else 'will be'} read again")


def _earlier(committed: Offsets, wanted: Offsets) -> Offsets:
    """Return the wanted offsets that are before the committed ones: moving forward would skip messages."""
    return {partition: wanted[partition] for partition, offset in committed.items() if wanted[partition] < offset}


def _comparison(committed: Offsets, targets: Offsets) -> Iterator[str]:
    for partition, offset in sorted(committed.items()):
        target = targets.get(partition, offset)
        change = "unchanged" if target == offset else f"{offset} -> {target}"
        yield f"partition {partition}: {change}"
