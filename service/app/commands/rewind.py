"""`orders rewind`: sets the group's offsets back to a point in time, after a database failover that lost commits.

Reading stored orders again changes nothing, because their versions are compared.
"""

import argparse

from service.app.commands.connections.kafka_clients import stopped_group
from service.config import Settings
from service.pkg.argtypes import timestamp_or_age
from service.pkg.exit_codes import ExitCode
from service.pkg.report import add_json_option, reporting
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
    parser.add_argument("--dry-run", action="store_true", help="print what would be reread, and change nothing")
    add_json_option(parser)


def run(args: argparse.Namespace, settings: Settings, _stop: object) -> int:
    """Set the group's offsets back, never forward; return the exit code. Raises CommandFailed, KafkaRequestFailed."""
    with reporting(args) as report, stopped_group(settings.kafka, {}) as group:
        wanted = group.topic.offsets_at(to_milliseconds(args.to_timestamp))
        plan = rewind.plan(group.topic.committed(), wanted)
        for partition, offset, target in plan.changes():
            report.line(f"partition {partition}: {'unchanged' if target == offset else f'{offset} -> {target}'}")
        if plan.targets and not args.dry_run:
            group.topic.commit(plan.targets)
        changes = [{"partition": each, "from": offset, "to": target} for each, offset, target in plan.changes()]
        report.add(partitions=changes, offsets_to_reread=plan.repeated, is_dry_run=args.dry_run)
        report.line(f"{plan.repeated:,} offsets {'would be' if args.dry_run else 'will be'} read again")
    return ExitCode.DONE
