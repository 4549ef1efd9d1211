"""`orders rewind`: sets the group's offsets back to a point in time, after a database failover that lost commits.

Reading stored orders again changes nothing, because their versions are compared.
"""

import argparse
from datetime import datetime

from service.app.commands.connections.kafka_clients import stopped_group
from service.app.commands.topic_option import add_topic_option, chosen_topic
from service.config import Settings
from service.handler.kafka.client.topic_reader import TopicReader
from service.pkg.argtypes import timestamp_or_age
from service.pkg.exit_codes import ExitCode
from service.pkg.report import Report, add_json_option, reporting
from service.pkg.timestamps import to_milliseconds
from service.usecases import rewind


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--to-timestamp",
        type=timestamp_or_age,
        required=True,
        metavar="TIME",
        help="reread messages since this time, such as 2026-11-23T10:00:00Z, or 90m for the last 90 minutes",
    )
    add_topic_option(parser, "reread only this topic (default: all topics that the consumers read)")
    parser.add_argument("--dry-run", action="store_true", help="print what would be reread, and change nothing")
    add_json_option(parser)


def run(args: argparse.Namespace, settings: Settings, _stop: object) -> int:
    """Set the group's offsets back, never forward; return the exit code.

    Raises CommandFailed, KafkaRequestFailed, UsageError.
    """
    subscription = settings.kafka.subscription
    topic = chosen_topic("rewind", args.topic, subscription)
    with reporting(args) as report, stopped_group(settings.kafka, {}, topic) as group:
        plans = {each: _plan(each, args.to_timestamp) for each in group.topics}
        report.add(partitions=[fields for each, plan in plans.items() for fields in _changes(each.name, plan)])
        for each, plan in plans.items():
            _report_changes(report, each.name, plan, is_only=subscription.names == (each.name,))
            if plan.targets and not args.dry_run:
                each.commit(plan.targets)
        repeated = sum(plan.repeated for plan in plans.values())
        report.add(offsets_to_reread=repeated, is_dry_run=args.dry_run)
        report.line(f"{repeated:,} offsets {'would be' if args.dry_run else 'will be'} read again")
    return ExitCode.DONE


def _plan(topic: TopicReader, time: datetime) -> rewind.Rewind:
    return rewind.plan(topic.committed(), topic.offsets_at(to_milliseconds(time)))


def _report_changes(report: Report, topic: str, plan: rewind.Rewind, *, is_only: bool) -> None:
    for partition, offset, target in plan.changes():
        name = f"partition {partition}" if is_only else f"{topic}, partition {partition}"
        report.line(f"{name}: {'unchanged' if target == offset else f'{offset} -> {target}'}")


def _changes(topic: str, plan: rewind.Rewind) -> list[dict[str, object]]:
    return [
        {"topic": topic, "partition": partition, "from": offset, "to": target}
        for partition, offset, target in plan.changes()
    ]
