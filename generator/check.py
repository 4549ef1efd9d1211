"""`orders check`: verifies that exactly the generated orders are stored, and the faulty ones dead-lettered."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from generator.actual import GroupProgress, ReadError, messages, open_consumer, progress, stored_orders
from generator.compare import DeadLetterTable, OrderCounts, compare_dead_letters, compare_orders
from generator.expected import expected_result, infer_until, require_finite
from generator.options import add_plan_options, plan_from
from service.handler.kafka.client import properties as client_properties
from service.handler.kafka.client.diagnostics import require_kafka
from service.pkg.polling import poll
from service.repo.connection_errors import require_postgres

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Mapping

    from confluent_kafka import Consumer

    from service.config import Settings

EXACT, FAILED, WRONG_USAGE = 0, 1, 2
"""Exit codes."""
POLL_INTERVAL_SECONDS: Final = 0.5
DEFAULT_LAG_TIMEOUT_SECONDS: Final = 60.0

EPILOG = """Use the options of the `orders generate` run that filled the topic. Both topics and all tables must
have been empty before that run. The default of --until is derived from the first orders in the topic."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add_plan_options(parser)
    parser.add_argument(
        "--wait",
        type=float,
        default=DEFAULT_LAG_TIMEOUT_SECONDS,
        metavar="SECONDS",
        help=f"how long to wait until the consumer has no lag (default: {DEFAULT_LAG_TIMEOUT_SECONDS:.0f})",
    )
    parser.add_argument(
        "--after-crash",
        action="store_true",
        help="accept repeated dead letters with the same origin, which a crash of the consumer can cause",
    )


def run(args: argparse.Namespace, settings: Settings) -> int:
    kafka = settings.kafka

    def require_servers() -> None:
        require_kafka(client_properties.common(kafka))
        require_postgres(settings.postgres.dsn)

    return check(
        args,
        require_servers=require_servers,
        dsn=settings.postgres.dsn,
        bootstrap_servers=kafka.bootstrap_servers,
        topic=kafka.topic,
        dead_letter_topic=kafka.dead_letter_topic,
        group_id=kafka.group_id,
        properties=kafka.properties,
    )


def check(
    args: argparse.Namespace,
    *,
    dsn: str,
    bootstrap_servers: str,
    topic: str,
    dead_letter_topic: str,
    group_id: str,
    properties: Mapping[str, Any],
    require_servers: Callable[[], None] = lambda: None,
) -> int:
    """Print the counts; return 0 if all are exact and the group has no lag, else 1.

    Blocks for at most `--wait` seconds until the lag is 0, and then while it reads the topic and the tables.
    `require_servers` is called first, and its errors are raised.
    """
    try:
        plan = plan_from(args)
        require_finite(plan)
        require_servers()
        consumer = open_consumer(bootstrap_servers, group_id, properties)
        try:
            if not args.until:
                plan = replace(plan, until=infer_until(plan, messages(consumer, topic)))
            expected = expected_result(plan)
            reached = _wait_for_lag(consumer, topic, args.wait)
            orders = compare_orders(expected.orders, stored_orders(dsn))
            dead_letters = compare_dead_letters(expected.dead_letters, messages(consumer, dead_letter_topic), topic)
        finally:
            consumer.close()
    except ValueError as problem:
        return _fail(problem, WRONG_USAGE)
    except ReadError as problem:
        return _fail(problem, FAILED)
    return _report(expected.messages, reached, orders, dead_letters, allow_repeated=args.after_crash)


def _wait_for_lag(consumer: Consumer, topic: str, seconds: float) -> GroupProgress:
    return poll(
        lambda: progress(consumer, topic),
        lambda reached: not reached.lag,
        seconds=seconds,
        interval=POLL_INTERVAL_SECONDS,
    )


def _report(
    messages_expected: int,
    reached: GroupProgress,
    orders: OrderCounts,
    dead_letters: DeadLetterTable,
    *,
    allow_repeated: bool,
) -> int:
    exact = (
        messages_expected == reached.produced
        and not reached.lag
        and orders.exact
        and all(counts.is_exact(allow_repeated=allow_repeated) for counts in dead_letters.rows.values())
    )
    rows = {reason: asdict(counts) for reason, counts in dead_letters.rows.items()}
    total = {"expected": messages_expected, "produced": reached.produced, "lag": reached.lag}
    sys.stdout.write(
        f"{_table('messages', {'': total})}\n"
        f"{_table('orders', {'': asdict(orders)})}\n"
        f"{_table('dead letters', rows)}\n"
        f"{'exact' if exact else 'NOT EXACT'}\n"
    )
    return EXACT if exact else FAILED


def _table(title: str, rows: Mapping[str, Mapping[str, int]]) -> str:
    columns = next(iter(rows.values()))
    names = (column.replace("_", " ") for column in columns)
    lines = [_line(title, names)]
    lines += [_line(f"  {name}", (f"{count:,}" for count in counts.values())) for name, counts in rows.items()]
    return "\n".join(lines) + "\n"


def _line(first: str, cells: Iterable[str]) -> str:
    return f"{first:<16}" + "".join(f"{cell:>15}" for cell in cells)


def _fail(problem: object, code: int) -> int:
    sys.stderr.write(f"orders check: {problem}\n")
    return code
