"""`orders erase`: deletes orders permanently, and lists their dead letters.

The consumer skips later messages of an erased order, so a mistyped `order_uid` is harmful too: the command asks for
confirmation, and `--undo` lets such an order be stored again.
"""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

import msgspec

from service.app.commands.connections import stores
from service.app.commands.connections.kafka_clients import admin_client, connected_consumer, dead_letter_topic
from service.app.commands.connections.storage_failures import explained
from service.app.commands.erase.report import report_dead_letters, report_erased, report_preview, report_undo
from service.config import KafkaSettings, Settings
from service.entities.order import MAX_UID_LENGTH, OrderUid
from service.errors import CommandFailed, KafkaRequestFailed, RecordsRetained, Stopped, UsageError
from service.handler.kafka.client import properties, topics
from service.handler.kafka.client.diagnostics import diagnosed, require_kafka
from service.handler.kafka.client.topic_reader import topics_of
from service.handler.kafka.dead_letters import reading
from service.handler.kafka.operations.order_records import KafkaOrderRecords
from service.pkg.argtypes import duration
from service.pkg.exit_codes import ExitCode
from service.pkg.prompt import require_confirmation, require_terminal
from service.pkg.report import Report, add_json_option, reporting
from service.pkg.shutdown_event import ShutdownEvent
from service.repo.operations.erasures import Erasures
from service.usecases.erase import erase, forget, preview, undo


def add_arguments(parser: argparse.ArgumentParser) -> None:
    either = parser.add_mutually_exclusive_group(required=True)
    either.add_argument(
        "order_uid", type=_order_uid, nargs="*", default=[], metavar="ORDER_UID",
        help="orders to erase; put -- before them if one starts with -",
    )  # fmt: skip
    either.add_argument(
        "--forget-older-than", type=duration, metavar="AGE",
        help="forget erasures older than this, such as 40d; all topics must have deleted the records by then",
    )  # fmt: skip
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="print what would be done, and change nothing")
    how.add_argument(
        "--yes", action="store_true", help="erase without confirmation; required if standard input is not a terminal"
    )
    how.add_argument(
        "--undo", action="store_true",
        help="let these orders be stored again, unless a topic that the consumers read has a record of them",
    )  # fmt: skip
    add_json_option(parser)


def run(args: argparse.Namespace, settings: Settings, stop: ShutdownEvent) -> int:
    """Erase orders, or undo or forget erasures; return the exit code. Raises OrdersError."""
    stop.set_at_signals()  # first, because Ctrl-C could be lost while C code creates a client
    properties.verify(settings.kafka)
    with reporting(args) as report:
        report.add(is_dry_run=args.dry_run)
        _run(args, settings, report, stop)
    return ExitCode.DONE


def _run(args: argparse.Namespace, settings: Settings, report: Report, stop: ShutdownEvent) -> None:
    uids = [*dict.fromkeys(args.order_uid)]
    if args.forget_older_than is not None:
        if args.undo:
            raise UsageError("erase: --undo needs the order_uids and cannot be combined with --forget-older-than")
        _forget(args.forget_older_than, settings, report, stop, dry_run=args.dry_run)
    elif args.undo:
        _undo(uids, settings, report, stop)
    elif args.dry_run:
        _preview(uids, settings, report, stop)
        _list_dead_letters(uids, settings.kafka, report, stop)
    else:
        if not args.yes:
            require_terminal("erase", is_json=args.json)
            _confirm(uids, settings, report, stop)
        _erase(uids, settings, report, stop)


def _confirm(uids: Sequence[str], settings: Settings, report: Report, stop: ShutdownEvent) -> None:
    """Return if the user confirms. Raises CommandFailed otherwise."""
    _preview(uids, settings, report, stop)
    report.line("Stored orders are deleted permanently; --undo does not restore them.")
    with stop.interruptible():
        require_confirmation(f"Erase {len(uids):,} {'order' if len(uids) == 1 else 'orders'}?", "nothing was erased")


def _preview(uids: Sequence[str], settings: Settings, report: Report, stop: ShutdownEvent) -> None:
    with stop.interruptible(), _erasures(settings) as erasures:
        states = preview(uids, erasures)
    report_preview(report, states)


def _erase(uids: Sequence[str], settings: Settings, report: Report, stop: ShutdownEvent) -> None:
    with stop.interruptible(), _erasures(settings) as erasures:
        states = erase(uids, erasures)
    report_erased(report, states)
    try:
        with diagnosed(settings.kafka):
            _list_dead_letters(uids, settings.kafka, report, stop)
    except (KafkaRequestFailed, Stopped) as error:
        raise CommandFailed(f"erased, but listing the dead letters failed: {error}") from None


def _undo(uids: Sequence[str], settings: Settings, report: Report, stop: ShutdownEvent) -> None:
    with connected_consumer(settings.kafka, {}) as consumer, _erasures(settings) as erasures:
        result = undo(uids, erasures, KafkaOrderRecords(consumer, settings.kafka.subscription, stop.is_set))
    report_undo(report, uids, result)
    if result.existing:
        raise CommandFailed(f"{len(result.existing):,} of {len(uids):,} erasures were not undone")
    if result.arrived:
        raise CommandFailed(
            "records that arrived in the meantime may have been skipped: run `orders rewind` to read them again"
        )


def _list_dead_letters(uids: Sequence[str], kafka: KafkaSettings, report: Report, stop: ShutdownEvent) -> None:
    with dead_letter_topic(kafka) as topic:
        report_dead_letters(report, reading.search(topic, uids, stop), uids, topic.name)
    names = f"{kafka.subscription} and {kafka.dead_letter_topic}"
    report.line(f"records in {names} remain until these topics' retention deletes them")


def _forget(older_than: float, settings: Settings, report: Report, stop: ShutdownEvent, *, dry_run: bool) -> None:
    kafka = settings.kafka
    require_kafka(kafka)
    admin = admin_client(kafka)
    ages = topics.max_record_ages((*topics_of(kafka.subscription, admin), kafka.dead_letter_topic), admin)
    with stop.interruptible(), _erasures(settings) as erasures:
        try:
            count = forget(older_than, erasures, ages, is_dry_run=dry_run)
        except RecordsRetained as error:
            raise CommandFailed(f"--forget-older-than is too short: {error}") from None
    report.add(forgotten=count)
    report.line(f"{count:,} erasures {'would be ' if dry_run else ''}forgotten")


@contextmanager
def _erasures(settings: Settings) -> Iterator[Erasures]:
    with explained(), closing(stores.erasures(settings.postgres)) as erasures:
        yield erasures


def _order_uid(text: str) -> str:
    try:
        return msgspec.convert(text, OrderUid)
    except msgspec.ValidationError:
        raise argparse.ArgumentTypeError(
            f"must be 1 to {MAX_UID_LENGTH} characters from A-Z, a-z, 0-9, _ and -"
        ) from None
