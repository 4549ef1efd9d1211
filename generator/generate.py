"""`orders generate`: produces the messages of a plan."""

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from generator.faults import FULL_CATALOG
from generator.formats import REGISTRY_FORMATS
from generator.options import add_plan_options, plan_from
from generator.orders import utc_now
from generator.produce import RateLimiter, Tally, open_producer, produce
from generator.progress import ProgressLine
from generator.stream import Message, Plan, stream
from service.config import KafkaSettings, Settings
from service.config.addresses import bootstrap_servers
from service.errors import UsageError
from service.handler.kafka.client.connection_errors import BOOTSTRAP_SERVERS
from service.handler.kafka.client.diagnostics import diagnosed, require_kafka
from service.handler.kafka.client.properties import given
from service.handler.kafka.registry.connect import registry_client
from service.pkg.argtypes import rate
from service.pkg.exit_codes import ExitCode
from service.pkg.report import Report, add_json_option, reporting
from service.pkg.shutdown_event import ShutdownEvent
from service.pkg.timestamps import rfc3339

if TYPE_CHECKING:
    from generator.encodings import Encoding


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_plan_options(parser)
    parser.add_argument("--rate", type=rate, default=0.0, metavar="R", help="messages per second (default: no limit)")
    parser.add_argument("--topic", help="overrides ORDERS_KAFKA__TOPIC")
    parser.add_argument("--bootstrap-servers", type=bootstrap_servers, help="overrides ORDERS_KAFKA__BOOTSTRAP_SERVERS")
    parser.add_argument("--list-faults", action="store_true", help="list all faults and exit")
    add_json_option(parser)


def run(args: argparse.Namespace, settings: Settings, stop: ShutdownEvent) -> int:
    """Produce the messages of the plan; return FAILED if one was not acknowledged. Raises OrdersError.

    SIGINT and SIGTERM stop the run, and are no failure, because nothing else ends an unlimited one.
    """
    with reporting(args) as report:
        if args.list_faults:
            _list_faults(report)
            return ExitCode.DONE
        return _run(args, settings, report, stop)


def _run(args: argparse.Namespace, settings: Settings, report: Report, stop: ShutdownEvent) -> int:
    plan = replace(plan_from(args), until=args.until or _latest_date(args.count))
    kafka = _kafka(args, settings)
    setting = "--bootstrap-servers" if args.bootstrap_servers else BOOTSTRAP_SERVERS
    require_kafka(kafka, setting=setting)
    messages = _encoded(stream(plan), args.format, kafka, settings) if args.format in REGISTRY_FORMATS else stream(plan)
    with diagnosed(kafka, setting):
        tally = _produce(plan, messages, kafka, args.rate, report, stop)
    if plan.until:
        report.add(until=rfc3339(plan.until))
        report.line(f"to generate the same messages again, add --until {rfc3339(plan.until)}")
    return ExitCode.DONE if tally.complete else ExitCode.FAILED


def _encoded(
    messages: Iterable[Message], message_format: "Encoding", kafka: KafkaSettings, settings: Settings
) -> Iterator[Message]:
    """Register the schema, and return the messages in this format. Raises UsageError and RegistryUnavailable."""
    if settings.registry.urls is None:
        raise UsageError(f"generate: --format {message_format} needs ORDERS_REGISTRY__URLS")
    client = registry_client(settings.registry)
    from generator.encodings import KINDS, encoded, schema_text  # noqa: PLC0415 - need the extra `registry`, too

    schema_id = client.register(f"{kafka.topic}-value", KINDS[message_format], schema_text(message_format))
    return encoded(messages, message_format, schema_id)


def _list_faults(report: Report) -> None:
    report.add(
        faults=[{"reason": each.reason, "name": each.name, "field": each.field or None} for each in FULL_CATALOG]
    )
    for fault in FULL_CATALOG:
        report.line(f"{fault.reason:<12} {fault.name:<26} {fault.field}".rstrip())


def _latest_date(count: int) -> datetime | None:
    """Return the current time; None for an unlimited stream, whose orders are dated when they are sent."""
    return utc_now().replace(microsecond=0) if count else None


def _kafka(args: argparse.Namespace, settings: Settings) -> KafkaSettings:
    """Return the settings, with the topic and the servers of the command line."""
    given = {"bootstrap_servers": args.bootstrap_servers, "topic": args.topic}
    return settings.kafka.model_copy(update={name: value for name, value in given.items() if value})


def _produce(
    plan: Plan,
    messages: Iterable[Message],
    kafka: KafkaSettings,
    per_second: float,
    report: Report,
    stop: ShutdownEvent,
) -> Tally:
    producer = open_producer(kafka.bootstrap_servers, kafka.topic, given(kafka), compress=plan.too_large)
    stop.set_at_signals()
    limiter, progress, started = RateLimiter(per_second), ProgressLine(sys.stderr, plan.count), time.monotonic()
    tally = produce(messages, producer, kafka.topic, limiter=limiter, stop=stop, on_progress=progress)
    progress.close()
    seconds = time.monotonic() - started
    report.add(sent=dict(tally.sent), delivered=tally.delivered, failed=dict(tally.failed), seconds=round(seconds, 3))
    report.line(_summary(tally, seconds))
    return tally


def _summary(tally: Tally, seconds: float) -> str:
    sent = tally.sent.total()
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(tally.sent.items()))
    failed = ", ".join(f"{count:,} {name}" for name, count in sorted(tally.failed.items()))
    return (
        f"sent {sent:,} ({kinds or 'nothing'}), delivered {tally.delivered:,}, failed {sent - tally.delivered:,}"
        f"{f' ({failed})' if failed else ''} in {seconds:.1f} s, {tally.delivered / max(seconds, 0.001):,.0f}/s"
    )
