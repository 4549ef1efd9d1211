"""`orders generate`."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException

from generator.faults import FULL_CATALOG
from generator.options import add_plan_options, plan_from
from generator.orders import utc_now
from generator.produce import RateLimiter, Tally, open_producer, produce
from generator.progress import ProgressLine
from generator.stream import Plan, stream
from service.errors import CommandError
from service.handler.kafka.client import properties as client_properties
from service.handler.kafka.client.connection_errors import BOOTSTRAP_SERVERS
from service.handler.kafka.client.diagnostics import require_kafka
from service.handler.kafka.client.error_phrases import phrase
from service.pkg.addresses import bootstrap_servers
from service.pkg.argtypes import rate
from service.pkg.shutdown_event import stop_at_signals
from service.pkg.timestamps import rfc3339

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from service.config import Settings

DONE, FAILED, WRONG_USAGE = 0, 1, 2
"""Exit codes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_plan_options(parser)
    parser.add_argument("--rate", type=rate, default=0.0, metavar="R", help="messages per second (default: no limit)")
    parser.add_argument("--topic", help="overrides ORDERS_KAFKA__TOPIC")
    parser.add_argument("--bootstrap-servers", type=bootstrap_servers, help="overrides ORDERS_KAFKA__BOOTSTRAP_SERVERS")
    parser.add_argument("--list-faults", action="store_true", help="list all faults and exit")


def run(args: argparse.Namespace, settings: Settings) -> int:
    kafka = settings.kafka
    servers = args.bootstrap_servers or kafka.bootstrap_servers
    setting = "--bootstrap-servers" if args.bootstrap_servers else BOOTSTRAP_SERVERS
    client = client_properties.common(kafka) | {"bootstrap.servers": servers}
    return generate(
        args,
        bootstrap_servers=kafka.bootstrap_servers,
        topic=kafka.topic,
        properties=kafka.properties,
        require_kafka=lambda: require_kafka(client, setting=setting),
    )


def generate(
    args: argparse.Namespace,
    *,
    bootstrap_servers: str,
    topic: str,
    properties: Mapping[str, Any],
    require_kafka: Callable[[], None] = lambda: None,
) -> int:
    """Produce the messages of the plan; return the exit code: 1 if a message was not acknowledged.

    `require_kafka` is called first, and its errors are raised. SIGINT and SIGTERM stop the run with exit code 0,
    because nothing else ends an unlimited one.
    """
    if args.list_faults:
        return list_faults()
    try:
        plan = replace(plan_from(args), until=args.until or _latest_date(args.count))
    except ValueError as problem:
        return _fail(problem, WRONG_USAGE)
    require_kafka()
    try:
        return _produce(plan, args.rate, args.bootstrap_servers or bootstrap_servers, args.topic or topic, properties)
    except CommandError as problem:
        return _fail(problem, FAILED)
    except KafkaException as problem:
        return _fail(f"Kafka: {phrase(problem.args[0])}", FAILED)


def _latest_date(count: int) -> datetime | None:
    """Return the current time; None for an unlimited stream, whose orders are dated when they are sent."""
    return utc_now().replace(microsecond=0) if count else None


def list_faults() -> int:
    for fault in FULL_CATALOG:
        sys.stdout.write(f"{fault.reason:<12} {fault.name:<26} {fault.field}".rstrip() + "\n")
    return DONE


def _produce(plan: Plan, per_second: float, bootstrap_servers: str, topic: str, properties: Mapping[str, Any]) -> int:
    producer = open_producer(bootstrap_servers, topic, properties, compress=plan.too_large)
    progress, started = ProgressLine(sys.stderr, plan.count), time.monotonic()
    tally = produce(
        stream(plan), producer, topic, limiter=RateLimiter(per_second), stop=stop_at_signals(), on_progress=progress
    )
    progress.close()
    sys.stdout.write(_summary(tally, time.monotonic() - started) + "\n")
    if plan.until:
        sys.stdout.write(f"to generate the same messages again, add --until {rfc3339(plan.until)}\n")
    return DONE if tally.complete else FAILED


def _summary(tally: Tally, seconds: float) -> str:
    sent = tally.sent.total()
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(tally.sent.items()))
    failed = ", ".join(f"{count:,} {name}" for name, count in sorted(tally.failed.items()))
    return (
        f"sent {sent:,} ({kinds or 'nothing'}), delivered {tally.delivered:,}, failed {sent - tally.delivered:,}"
        f"{f' ({failed})' if failed else ''} in {seconds:.1f} s, {tally.delivered / max(seconds, 0.001):,.0f}/s"
    )


def _fail(problem: object, code: int) -> int:
    sys.stderr.write(f"orders generate: {problem}\n")
    return code
