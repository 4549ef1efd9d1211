"""`orders check`: verifies that exactly the generated orders are stored, and the faulty ones dead-lettered."""

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, Final

from generator.consumed_topic import require_consumed_topic
from generator.formats import REGISTRY_FORMATS
from generator.options import add_plan_options, plan_from
from generator.verify import Verification, verify
from service.config import Settings
from service.entities.order import MAX_AGE_SECONDS
from service.errors import UsageError
from service.handler.kafka.client.diagnostics import require_kafka
from service.pkg.argtypes import duration_or_seconds, duration_up_to
from service.pkg.exit_codes import ExitCode
from service.pkg.report import add_json_option, reporting
from service.repo.connection_errors import require_postgres
from service.repo.conninfo import conninfo_of

DEFAULT_LAG_TIMEOUT_SECONDS: Final = 60.0

EPILOG: Final = """Use the options of the `orders generate` run that filled the topic. Both topics and all tables must
have been empty before that run. The default of --until is derived from the first orders in the topic."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add_plan_options(parser)
    parser.add_argument(
        "--wait",
        type=duration_or_seconds,
        default=DEFAULT_LAG_TIMEOUT_SECONDS,
        metavar="DURATION",
        help="how long to wait until the consumer has no lag, such as 5m; 0 does not wait "
        f"(default: {DEFAULT_LAG_TIMEOUT_SECONDS:.0f}s)",
    )
    parser.add_argument(
        "--after-crash",
        action="store_true",
        help="accept repeated dead letters with the same origin, which a crash of the consumer can cause",
    )
    parser.add_argument(
        "--older-than",
        type=duration_up_to(MAX_AGE_SECONDS),
        metavar="AGE",
        help="accept that orders created longer ago than this are missing (default: ORDERS_RETENTION__MAX_AGE)",
    )
    add_json_option(parser)


def run(args: argparse.Namespace, settings: Settings, _stop: object) -> int:
    """Print the counts; return DONE if all are exact and the group has no lag, else FAILED. Raises OrdersError."""
    plan = plan_from(args)
    if not plan.count:
        raise UsageError("check: cannot check an unlimited run: set --count to more than 0")
    if args.format in REGISTRY_FORMATS and not args.until:
        raise UsageError(f"check: --format {args.format} needs --until, as `orders generate` has printed it")
    require_consumed_topic(settings.kafka)
    require_kafka(settings.kafka)
    conninfo = conninfo_of(settings.postgres)
    require_postgres(conninfo)
    verification = verify(
        plan,
        settings.kafka,
        conninfo,
        is_until_known=args.until is not None,
        lag_timeout_seconds=args.wait,
        max_age_seconds=args.older_than or settings.retention.max_age,
    )
    is_exact = verification.is_exact(allow_repeated=args.after_crash)
    with reporting(args) as report:
        tables = _tables(verification)
        report.add(is_exact=is_exact, **tables)
        report.line(_text(tables))
        report.line("exact" if is_exact else "NOT EXACT")
    return ExitCode.DONE if is_exact else ExitCode.FAILED


def _tables(verification: Verification) -> dict[str, Any]:
    reached = verification.progress
    reasons = verification.dead_letters.rows.items()
    return {
        "messages": {"expected": verification.expected_messages, "produced": reached.produced, "lag": reached.lag},
        "orders": asdict(verification.orders),
        "dead_letters": {str(reason): asdict(counts) for reason, counts in reasons},
    }


def _text(tables: Mapping[str, Any]) -> str:
    return "\n".join(
        (
            _table("messages", {"": tables["messages"]}),
            _table("orders", {"": tables["orders"]}),
            _table("dead letters", tables["dead_letters"]),
        )
    )


def _table(title: str, rows: Mapping[str, Mapping[str, int]]) -> str:
    columns = next(iter(rows.values()))
    names = (column.replace("_", " ") for column in columns)
    lines = [_line(title, names)]
    lines += [_line(f"  {name}", (f"{count:,}" for count in counts.values())) for name, counts in rows.items()]
    return "\n".join(lines) + "\n"


def _line(first: str, cells: Iterable[str]) -> str:
    return f"{first:<16}" + "".join(f"{cell:>15}" for cell in cells)
