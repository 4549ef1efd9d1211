"""`orders dlq list|show|replay`: inspects the dead-letter topic and replays dead letters."""

import argparse
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from getpass import getuser
from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer

from service.app.commands.connections.kafka_clients import admin_client, connected_consumer, dead_letter_topic, producer
from service.app.commands.dead_letter_text import description, json_line, print_json_lines, print_table, print_value
from service.app.commands.dlq.arguments import add_arguments
from service.app.commands.dlq.editor import edit_named
from service.app.commands.dlq.replay_report import ReplayReport
from service.app.decoding import uid_reader, value_decoder
from service.entities.dead_letter_record import DeadLetterId, DeadLetterRecord, Excerpt
from service.entities.subscription import Subscription
from service.errors import CommandFailed, UsageError
from service.handler.kafka.client.topic_reader import open_committable_topic
from service.handler.kafka.dead_letters import reading
from service.handler.kafka.dead_letters.newest import NewestFirst, ScanLimits
from service.handler.kafka.dead_letters.replay import (
    DELIVERY_TIMEOUT_SECONDS,
    KafkaReplaySource,
    ReplayProducer,
    partition_lookup,
)
from service.pkg.exit_codes import ExitCode
from service.pkg.output import echo
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.dead_letter_view import whole_view
from service.usecases.ports.dead_letters import DeadLetterFilters
from service.usecases.ports.replay import ReadUid
from service.usecases.replay import Replay, ReplayPlan

if TYPE_CHECKING:
    from service.config import DocumentSettings, KafkaSettings, Settings

__all__ = ["add_arguments", "run"]

_Command = Callable[[argparse.Namespace, "KafkaSettings", ShutdownEvent], None]

_LIST_LIMITS: Final = ScanLimits(chunk=5_000)
_FIRST_CHUNK: Final = 100
"""Dead letters of each partition that are read before their size is known."""
_MAX_KEY_BYTES: Final = 1_024


def run(args: argparse.Namespace, settings: "Settings", stop: ShutdownEvent) -> int:
    """Run the parsed command; return the exit code. Raises OrdersError."""
    replay = partial(_replay, document=settings.document)
    commands: Mapping[str, _Command] = {"list": _list, "show": _show, "replay": replay}
    stop.set_at_signals()
    commands[args.dlq_command](args, settings.kafka, stop)
    return ExitCode.DONE


def _list(args: argparse.Namespace, kafka: "KafkaSettings", stop: ShutdownEvent) -> None:
    print_list = print_json_lines if args.json else print_table
    with dead_letter_topic(kafka) as topic:
        scan = NewestFirst(
            topic, _filters(args), _excerpt, _LIST_LIMITS, first_chunk=_FIRST_CHUNK, should_stop=stop.is_set
        )
        print_list(_until_stopped(scan, stop), args.max)


def _until_stopped(scan: NewestFirst[Excerpt], stop: ShutdownEvent) -> Iterator[Excerpt]:
    """Raise Stopped if a stop ended the scan: there may be more dead letters."""
    yield from scan
    reading.require_all_read(stop)


def _show(args: argparse.Namespace, kafka: "KafkaSettings", stop: ShutdownEvent) -> None:
    with dead_letter_topic(kafka) as topic:
        dead_letter = reading.require_dead_letter(topic, args.partition, args.offset, stop)
    if args.json:
        echo(json_line(whole_view(dead_letter), with_value=args.value))
    elif args.value:
        print_value(dead_letter.value or b"")
    else:
        echo("\n".join(description(dead_letter)))


def _replay(
    args: argparse.Namespace, kafka: "KafkaSettings", stop: ShutdownEvent, *, document: "DocumentSettings"
) -> None:
    plan = _plan(args, kafka.subscription, uid_reader(document))
    lists_each = args.partition is not None or args.order is not None
    report = ReplayReport(echo, is_dry_run=args.dry_run, lists_each=lists_each)
    with connected_consumer(kafka, {"group.id": plan.group(kafka.group_id)}) as consumer:
        source = KafkaReplaySource(open_committable_topic(consumer, kafka.dead_letter_topic, admin_client(kafka)), stop)
        if args.edit:
            with stop.interruptible():
                plan = edit_named(plan, source, value_decoder(document), asks=not args.dry_run)
        replay = Replay(plan, source, report, stop)
        if args.dry_run:
            replay.preview()
            report.print_numbers()
        else:
            _send(replay, _target(kafka, consumer, stop), report)
    _require_complete(plan, report.sent.total(), stop)


def _plan(args: argparse.Namespace, subscription: Subscription, read_uid: ReadUid) -> ReplayPlan:
    """Raise UsageError if dead letters are named by partition and offset and also by filters."""
    named = None
    if args.partition is not None:
        if not args.offset:
            raise UsageError("dlq replay: OFFSET is missing: name dead letters as PARTITION OFFSET…")
        if _filters(args) != DeadLetterFilters() or args.max:
            raise UsageError("dlq replay: PARTITION OFFSET… cannot be combined with filters or --max")
        named = [DeadLetterId(args.partition, offset) for offset in dict.fromkeys(args.offset)]
    if args.edit and len(named or ()) != 1:
        raise UsageError("dlq replay: --edit requires exactly one dead letter: PARTITION OFFSET")
    return ReplayPlan(
        subscription,
        _filters(args),
        read_uid=read_uid,
        max_replays=args.max_replays,
        limit=args.max,
        rate=args.rate,
        named=named,
    )


def _target(kafka: "KafkaSettings", consumer: Consumer, stop: ShutdownEvent) -> ReplayProducer:
    partitions = partition_lookup(kafka.subscription, consumer)
    return ReplayProducer(producer(kafka, DELIVERY_TIMEOUT_SECONDS), partitions, stop, replayed_by=_user())


def _user() -> str:
    try:
        return getuser()
    except (KeyError, OSError):  # the user id of a container may have no name
        return "cli"


def _send(replay: Replay, target: ReplayProducer, report: ReplayReport) -> None:
    try:
        replay.run(target)
    finally:
        report.print_numbers()


def _require_complete(plan: ReplayPlan, sent: int, stop: ShutdownEvent) -> None:
    if stop.is_set():
        raise CommandFailed(f"interrupted before the end{'' if plan.named else ': run the same command to continue'}")
    if plan.named and (left := len(plan.named) - sent):
        raise CommandFailed(f"{left:,} of {len(plan.named):,} dead letters were not sent")


def _filters(args: argparse.Namespace) -> DeadLetterFilters:
    return DeadLetterFilters(frozenset(args.reason or ()), args.since, args.order, args.until, args.text)


def _excerpt(dead_letter: DeadLetterRecord) -> Excerpt:
    return dead_letter.excerpt(_MAX_KEY_BYTES)
