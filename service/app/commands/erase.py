"""`orders erase`: removes orders for good, and lists what the dead-letter topic still has of them.

It asks before it does so, for a mistyped id would be refused from then on. `--undo` takes that back.
"""

import argparse
import signal
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Final

import msgspec
from confluent_kafka import Consumer, KafkaException

from service.app import shared
from service.config import Kafka, Settings
from service.entities.errors import CommandRefused, InvalidSettings, StorageError
from service.entities.order import MAX_UID, OrderUid
from service.handler.kafka.client import properties, topics
from service.handler.kafka.client.connection_errors import DiagnosticAdminClient, require_kafka, to_command_error
from service.handler.kafka.client.topic_reader import Offsets, TopicReader
from service.handler.kafka.dead_letters import search
from service.handler.kafka.dead_letters.ownership import order_of
from service.pkg.argtypes import seconds
from service.pkg.polling import echo
from service.pkg.shutdown_event import ShutdownEvent, stop_at_signals
from service.pkg.tx import Transactions
from service.repo.connection_errors import require_postgres
from service.repo.erasures import Erasures

_DAY_SECONDS: Final = 86_400


def add_arguments(parser: argparse.ArgumentParser) -> None:
    either = parser.add_mutually_exclusive_group(required=True)
    either.add_argument(
        "order_uid", type=_order_uid, nargs="*", default=[], metavar="ORDER_UID",
        help="orders to erase; write -- before them where one begins with -",
    )  # fmt: skip
    either.add_argument(
        "--forget-older-than", type=seconds, metavar="TIME",
        help="let orders be stored again that were erased longer ago, such as 40d: when both topics have lost them",
    )  # fmt: skip
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="say what would be done, and change nothing")
    how.add_argument("--yes", action="store_true", help="erase without asking; needed where no terminal can answer")
    how.add_argument(
        "--undo", action="store_true",
        help="let these orders be stored again, as long as the order topic holds no record of them",
    )  # fmt: skip


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Erase orders, undo or forget erasures; return the exit code. Raises CommandRefused, InvalidSettings."""
    stop = stop_at_signals()  # first: Ctrl-C while C code makes a client could be lost
    properties.verify(settings.kafka)
    uids = [*dict.fromkeys(args.order_uid)]
    if args.forget_older_than is not None:
        if args.undo:
            raise InvalidSettings("erase: --undo needs the ids of the orders; it does not go with --forget-older-than")
        _forget(args.forget_older_than, settings, dry_run=args.dry_run)
    elif args.undo:
        _undo(uids, settings, stop)
    elif args.dry_run:
        _preview(uids, settings)
        _list_dead_letters(uids, settings.kafka, stop)
    else:
        if not args.yes:
            _confirm(uids, settings)
        _erase(uids, settings, stop)
    return 0


def _confirm(uids: Sequence[str], settings: Settings) -> None:
    """Return if a person agrees. Raises CommandRefused otherwise, and InvalidSettings where nobody can be asked."""
    if not sys.stdin.isatty():
        raise InvalidSettings("erase: nobody can be asked, for the input is no terminal: add --yes, or try --dry-run")
    _preview(uids, settings)
    echo("This can't be taken back for orders that are stored.")
    stops = signal.signal(signal.SIGINT, signal.default_int_handler)  # Ctrl-C ends the question
    try:
        answer = input(f"Erase {len(uids):,} {'order' if len(uids) == 1 else 'orders'}? [y/N] ")
    except EOFError:
        answer = ""
    finally:
        signal.signal(signal.SIGINT, stops)
    if answer.strip().lower() not in {"y", "yes"}:
        raise CommandRefused("nothing was erased")


def _preview(uids: Sequence[str], settings: Settings) -> None:
    with _erasures(settings) as erasures:
        stored, erased = erasures.status(uids)
    for uid in uids:
        if uid in stored:
            echo(f"{uid}: is stored, and would be erased")
        elif uid in erased:
            echo(f"{uid}: is erased already")
        else:
            echo(f"{uid}: is not stored, and would be refused from then on")


def _erase(uids: Sequence[str], settings: Settings, stop: ShutdownEvent) -> None:
    with _erasures(settings) as erasures:
        stored = erasures.erase(uids)
    for uid in uids:
        echo(f"{uid}: {'erased' if uid in stored else 'was not stored, and will not be'}")
    try:
        _list_dead_letters(uids, settings.kafka, stop)
    except (KafkaException, CommandRefused) as error:
        raise CommandRefused(f"erased, but the dead letters are not all listed: {_line(error, settings)}") from None


def _undo(uids: Sequence[str], settings: Settings, stop: ShutdownEvent) -> None:
    """Undo erasures of orders that never came: what came was skipped, and reading on does not bring it."""
    kafka = settings.kafka
    require_kafka(properties.common(kafka))
    with _erasures(settings) as erasures, closing(Consumer(properties.dead_letter_browser(kafka))) as consumer:
        erased = erasures.status(uids).erased
        topic = TopicReader(consumer, kafka.topic)
        came = _records(topic, topic.starts, erased, stop)
        free = [uid for uid in uids if uid in erased and uid not in came]
        erasures.undo(free)
        late = _records(TopicReader(consumer, kafka.topic), topic.ends, set(free), stop)
    for uid in uids:
        echo(f"{uid}: {_undone(uid, erased, came, late)}")
    if came:
        raise CommandRefused(f"{len(came):,} of {len(uids):,} erasures were not undone")
    if late:
        raise CommandRefused(
            "records that came in the meantime may have been skipped: `orders rewind` reads them again"
        )


def _undone(uid: str, erased: Collection[str], came: Mapping[str, str], late: Mapping[str, str]) -> str:
    if uid not in erased:
        return "was not erased"
    if uid in came:
        return f"not undone: {came[uid]} is a record of it, which may have been skipped"
    return f"undone, but {late[uid]} has just come" if uid in late else "undone"


def _records(topic: TopicReader, starts: Offsets, uids: Collection[str], stop: ShutdownEvent) -> dict[str, str]:
    """Return where the first record lies of each of these orders that have one. Raises CommandRefused on a stop."""
    found: dict[str, str] = {}
    for record in topic.read(starts, stop) if uids else ():
        if record.value and (uid := order_of(record.key, record.value, [*uids])) is not None:
            found.setdefault(uid, f"{topic.name}, partition {record.partition}, offset {record.offset}")
    if stop.is_set():
        raise CommandRefused(f"stopped before the end of {topic.name}: run it again")
    return found


def _list_dead_letters(uids: Sequence[str], kafka: Kafka, stop: ShutdownEvent) -> None:
    require_kafka(properties.common(kafka))
    with closing(Consumer(properties.dead_letter_browser(kafka))) as consumer:
        for line in search.table(TopicReader(consumer, kafka.dead_letter_topic), uids, stop):
            echo(line)
    echo(f"what {kafka.topic} and {kafka.dead_letter_topic} hold of them goes with the retention of these topics")


def _forget(older_than: float, settings: Settings, *, dry_run: bool) -> None:
    """Forget old erasures; refuse while a topic may still hold a record that would bring such an order back."""
    kafka = settings.kafka
    require_kafka(properties.common(kafka))
    stays = topics.max_record_ages(
        (kafka.topic, kafka.dead_letter_topic), DiagnosticAdminClient(properties.common(kafka))
    )
    for topic, stay in stays.items():
        if stay > older_than:
            longest = "for ever" if stay == topics.FOREVER else f"for {stay / _DAY_SECONDS:g} days"
            raise CommandRefused(f"--forget-older-than: {topic} may hold a record {longest}, which brings orders back")
    with _erasures(settings) as erasures:
        count = erasures.count_expired(older_than) if dry_run else erasures.delete_expired(older_than)
    echo(f"{count:,} erasures {'would be ' if dry_run else ''}forgotten")


@contextmanager
def _erasures(settings: Settings) -> Iterator[Erasures]:
    require_postgres(settings.postgres.dsn)
    transactions = Transactions(shared.access(settings.postgres, "orders-erase"))
    with closing(Erasures(transactions, shared.WRITER)) as erasures:
        try:
            yield erasures
        except StorageError as error:
            raise CommandRefused(f"{error}; nothing is known to be done, and the command can be run again") from None


def _line(error: KafkaException | CommandRefused, settings: Settings) -> str:
    if isinstance(error, KafkaException):
        return str(to_command_error(error, properties.common(settings.kafka)))
    return str(error)


def _order_uid(text: str) -> str:
    try:
        return msgspec.convert(text, OrderUid)
    except msgspec.ValidationError:
        raise argparse.ArgumentTypeError(f"must be 1 to {MAX_UID} of A-Z, a-z, 0-9, _ and -") from None
