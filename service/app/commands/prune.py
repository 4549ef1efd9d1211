"""`orders prune`: deletes orders older than a given age."""

import argparse
from contextlib import closing
from datetime import UTC, datetime
from typing import Final

import structlog

from service.app.commands.connections.storage_failures import explained
from service.app.commands.connections.stores import expired_orders
from service.config import Settings
from service.entities.order import MAX_AGE_SECONDS
from service.errors import CommandFailed, Stopped, UsageError
from service.pkg.argtypes import duration_up_to, rate
from service.pkg.exit_codes import ExitCode
from service.pkg.prompt import require_confirmation, require_terminal
from service.pkg.report import Report, add_json_option, reporting
from service.pkg.shutdown_event import ShutdownEvent
from service.pkg.timestamps import rfc3339
from service.usecases.ports.operations import ExpiredOrders
from service.usecases.retention import RetentionPolicy, prune

_DEFAULT_RATE: Final = 1_000.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--older-than", type=duration_up_to(MAX_AGE_SECONDS), metavar="AGE",
        help="delete orders whose date_created is older than this, such as 400d (default: ORDERS_RETENTION__MAX_AGE)",
    )  # fmt: skip
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="print how many would be deleted, and delete none")
    how.add_argument(
        "--yes", action="store_true", help="delete without confirmation; required if standard input is not a terminal"
    )
    parser.add_argument(
        "--rate", type=rate, default=_DEFAULT_RATE, metavar="ORDERS_PER_SECOND",
        help="delete at most this many orders per second; 0 for no limit (default: %(default)g)",
    )  # fmt: skip
    add_json_option(parser)


def run(args: argparse.Namespace, settings: Settings, stop: ShutdownEvent) -> int:
    """Delete or count expired orders; return the exit code. Raises OrdersError."""
    stop.set_at_signals()
    max_age = args.older_than or settings.retention.max_age
    if max_age is None:
        raise UsageError("prune: --older-than is required, because ORDERS_RETENTION__MAX_AGE is not set")
    if not (args.dry_run or args.yes):
        require_terminal("prune", is_json=args.json)
    cutoff = RetentionPolicy.of_seconds(max_age).cutoff(datetime.now(UTC))
    with reporting(args) as report, closing(expired_orders(settings.postgres, cutoff)) as orders:
        report.add(created_before=rfc3339(cutoff), is_dry_run=args.dry_run)
        if settings.retention.max_age is None or max_age < settings.retention.max_age:
            report.line("ORDERS_RETENTION__MAX_AGE is longer or not set: consumers store redelivered orders again.")
        with stop.interruptible(), explained():
            if not args.yes:
                _preview(orders, cutoff, report)
            if not (args.yes or args.dry_run):
                require_confirmation("Delete them permanently?", "nothing was deleted")
            if not args.dry_run:
                _prune(orders, args.rate, cutoff, report, stop)
    return ExitCode.DONE


def _preview(orders: ExpiredOrders, cutoff: datetime, report: Report) -> None:
    count = orders.count()
    report.add(expired=count)
    report.line(f"orders created before {rfc3339(cutoff)}: {count:,} would be deleted")


def _prune(orders: ExpiredOrders, per_second: float, cutoff: datetime, report: Report, stop: ShutdownEvent) -> None:
    deleted = 0
    try:
        for count in prune(orders, per_second, stop):
            deleted += count
    except Stopped:
        raise CommandFailed("stopped before the end: run the same command to continue") from None
    finally:
        report.add(deleted=deleted)
        report.line(f"orders created before {rfc3339(cutoff)}: {deleted:,} deleted")
        log = structlog.get_logger("orders.prune")
        log.info("orders pruned", orders=deleted, created_before=rfc3339(cutoff))
