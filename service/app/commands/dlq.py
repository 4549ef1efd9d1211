"""`orders dlq list|show|replay`: inspects the dead-letter topic and replays dead letters."""

import argparse
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from service.entities.dead_letter import Reason
from service.entities.dead_letter_record import DeadLetterRecord
from service.errors import CommandError
from service.handler.kafka.client import properties
from service.handler.kafka.client.diagnostics import require_kafka
from service.handler.kafka.client.mock_cluster import is_mock_cluster
from service.handler.kafka.client.topic_id import fetch_topic_id
from service.handler.kafka.client.topic_reader import CALL_TIMEOUT_SECONDS, TopicReader, open_topic, partitions_of
from service.handler.kafka.dead_letters import listing, search
from service.handler.kafka.dead_letters.filters import Filters, dead_letter_of
from service.handler.kafka.dead_letters.replay import DELIVERY_TIMEOUT_SECONDS, Replay
from service.handler.kafka.dead_letters.replay_plan import (
    ReplayCounts,
    ReplayPlan,
    named_dead_letters,
    preview,
    start_offsets,
)
from service.pkg.argtypes import non_negative_int, rate
from service.pkg.exit_codes import ExitCode
from service.pkg.output import echo
from service.pkg.shutdown_event import ShutdownEvent, stop_at_signals
from service.pkg.timestamps import parse_timestamp

if TYPE_CHECKING:
    from service.config import KafkaSettings, Settings

_DEFAULT_LIST_LIMIT: Final = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="dlq_command", required=True, metavar="list|show|replay")
    _add_list(commands.add_parser("list", help="list dead letters and their reasons, oldest first, without content"))
    _add_show(commands.add_parser("show", help="show the headers of one dead letter, or with --value its content"))
    _add_replay(
        commands.add_parser(
            "replay", help="send dead letters to the order topic again, from where the last replay ended"
        )
    )


def run(args: argparse.Namespace, settings: "Settings") -> int:
    """Run the parsed command; return the exit code. Raises CommandError, KafkaException."""
    kafka = settings.kafka
    require_kafka(properties.common(kafka))
    commands = {"list": _list, "show": _show, "replay": _replay}
    commands[args.dlq_command](args, kafka, stop_at_signals())
    return ExitCode.DONE


def _list(args: argparse.Namespace, kafka: "KafkaSettings", stop: ShutdownEvent) -> None:
    with _consumer(kafka, kafka.group_id) as consumer:
        for line in _lines(open_topic(consumer, kafka.dead_letter_topic), args, stop):
            echo(line)


def _lines(topic: TopicReader, args: argparse.Namespace, stop: ShutdownEvent) -> Iterable[str]:
    if args.order is None:
        return listing.table(topic, _filters(args), args.max, stop)
    return search.table(topic, [args.order], stop, _filters(args))


def _show(args: argparse.Namespace, kafka: "KafkaSettings", stop: ShutdownEvent) -> None:
    with _consumer(kafka, kafka.group_id) as consumer:
        dead_letter = listing.require_dead_letter(
            open_topic(consumer, kafka.dead_letter_topic), args.partition, args.offset, stop
        )
    if args.value:
        sys.stdout.buffer.write(dead_letter.value or b"")
        sys.stdout.buffer.flush()
    else:
        echo("\n".join(listing.description(dead_letter)))


def _replay(args: argparse.Namespace, kafka: "KafkaSettings", stop: ShutdownEvent) -> None:
    is_named = _names_dead_letters(args)
    filters = _filters(args)._replace(order=args.order)
    plan = ReplayPlan(kafka.topic, filters, args.max_replays, args.max, args.rate, is_named)
    with _consumer(kafka, plan.group(kafka.group_id)) as consumer:
        _require_real_kafka(consumer)
        topic_id = fetch_topic_id(_admin(kafka), kafka.dead_letter_topic, CALL_TIMEOUT_SECONDS)
        topic = open_topic(consumer, kafka.dead_letter_topic, topic_id)
        if is_named:
            dead_letters = named_dead_letters(topic, args.partition, args.offset, stop, echo)
        else:
            dead_letters = map(dead_letter_of, topic.read(start_offsets(topic, plan), stop.is_set))
        if args.dry_run:
            counts = preview(dead_letters, plan, echo)
            _report(counts, "would be sent")
        else:
            # A producer's request could make the broker create the topic; a consumer's does not.
            partitions = partitions_of(kafka.topic, consumer, "produce to")
            counts = _send(Replay(_producer(kafka), plan, partitions, echo=echo, stop=stop), topic, dead_letters)
    if stop.is_set():
        raise CommandError(f"interrupted before the end{'' if is_named else ': run the same command to continue'}")
    if is_named and (left := len({*args.offset}) - counts.sent.total()):
        raise CommandError(f"{left:,} of {len({*args.offset}):,} dead letters were not sent")


def _names_dead_letters(args: argparse.Namespace) -> bool:
    """Return whether the arguments name partition and offsets; exit with 2 if they are combined with filters."""
    if args.partition is None:
        return False
    if not args.offset:
        args.usage_error("OFFSET is missing: name dead letters as PARTITION OFFSET…")
    if args.reason or args.since or args.order is not None or args.max:
        args.usage_error("PARTITION OFFSET… cannot be combined with --reason, --since, --order or --max")
    return True


def _send(replay: Replay, topic: TopicReader, dead_letters: Iterator[DeadLetterRecord]) -> ReplayCounts:
    try:
        replay.run(topic, dead_letters)
    finally:
        _report(replay.counts, "sent")
    return replay.counts


def _report(counts: ReplayCounts, verb: str) -> None:
    for reason, count in sorted(counts.sent.items()):
        echo(f"{count:>10,}  {reason}")
    for refusal, count in sorted(counts.refused.items()):
        echo(f"{count:>10,}  refused: {refusal}")
    echo(f"{counts.sent.total():>10,}  {verb}")


def _require_real_kafka(consumer: Consumer) -> None:
    if is_mock_cluster(consumer, CALL_TIMEOUT_SECONDS):
        raise CommandError("replay needs a real Kafka: the mock cluster cannot look up offsets by timestamp")


def _consumer(kafka: "KafkaSettings", group: str) -> closing[Consumer]:
    """Return a consumer that never joins `group`, where replays commit their progress."""
    return closing(Consumer(properties.command_consumer(kafka) | {"group.id": group}))


def _admin(kafka: "KafkaSettings") -> AdminClient:
    return AdminClient(properties.without_logs(properties.common(kafka)))


def _producer(kafka: "KafkaSettings") -> Producer:
    timeout = {"message.timeout.ms": round(DELIVERY_TIMEOUT_SECONDS * 1_000)}
    return Producer(properties.without_logs(properties.producer(kafka)) | timeout)


def _filters(args: argparse.Namespace) -> Filters:
    return Filters(frozenset(args.reason or ()), args.since)


def _add_list(parser: argparse.ArgumentParser) -> None:
    _add_filters(parser)
    either = parser.add_mutually_exclusive_group()
    either.add_argument(
        "--max",
        type=non_negative_int,
        default=_DEFAULT_LIST_LIMIT,
        metavar="N",
        help="list at most N (default: %(default)s)",
    )
    either.add_argument("--order", metavar="ORDER_UID", help="list all dead letters of this order, by key and content")


def _add_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("partition", type=non_negative_int, help="partition of the dead-letter topic")
    parser.add_argument("offset", type=non_negative_int, help="offset in that partition")
    parser.add_argument(
        "--value", action="store_true", help="print only the value, byte for byte; it may contain personal data"
    )


def _add_replay(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(usage_error=parser.error)
    parser.add_argument(
        "partition", type=non_negative_int, nargs="?", metavar="PARTITION",
        help="send only the dead letters at these offsets, even if already sent: partition of the dead-letter topic …",
    )  # fmt: skip
    parser.add_argument(
        "offset", type=non_negative_int, nargs="*", metavar="OFFSET", help="… and offsets in that partition"
    )
    _add_filters(parser)
    parser.add_argument("--order", metavar="ORDER_UID", help="send only dead letters of this order, by key and content")
    parser.add_argument("--dry-run", action="store_true", help="print how many would be sent, by reason, and send none")
    parser.add_argument(
        "--max", type=non_negative_int, default=0, metavar="N", help="send at most N; the next run continues"
    )
    parser.add_argument(
        "--rate", type=rate, default=0.0, metavar="R", help="dead letters per second (default: no limit)"
    )
    parser.add_argument(
        "--max-replays",
        type=non_negative_int,
        default=3,
        metavar="N",
        help="skip dead letters already replayed N times (default: %(default)s)",
    )


def _add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--reason",
        action="append",
        choices=[str(each) for each in Reason],
        help="only dead letters with this reason; may be repeated",
    )
    parser.add_argument(
        "--since",
        type=parse_timestamp,
        metavar="TIME",
        help="only dead letters since this time, such as 2026-11-23T10:00:00Z",
    )
