"""`orders erase`: removes orders for good, and lists what the dead-letter topic still has of them."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Final

import msgspec
from confluent_kafka import Consumer, KafkaException

from service.app import shared
from service.config import Kafka, Settings
from service.dlq import search
from service.dlq.reading import Topic
from service.entities.errors import CommandRefused, StorageError
from service.entities.order import MAX_UID, OrderUid
from service.handler.kafka import properties, topics
from service.handler.kafka.away import Admin, explained, require_kafka
from service.pkg.numbers import seconds
from service.pkg.patience import say
from service.pkg.stop import Stop, stop_at_signals
from service.pkg.tx import Transactions
from service.repo.away import require_postgres
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


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Erase orders or forget erasures; return the exit code. Raises CommandRefused."""
    stop = stop_at_signals()
    properties.verify(settings.kafka)
    if args.forget_older_than is None:
        _erase([*dict.fromkeys(args.order_uid)], settings, stop)
    else:
        _forget(args.forget_older_than, settings)
    return 0


def _erase(uids: Sequence[str], settings: Settings, stop: Stop) -> None:
    with _erasures(settings) as erasures:
        stored = erasures.erase(uids)
    for uid in uids:
        say(f"{uid}: {'erased' if uid in stored else 'was not stored, and will not be'}")
    try:
        _list_letters(uids, settings.kafka, stop)
    except (KafkaException, CommandRefused) as error:
        raise CommandRefused(f"erased, but the dead letters are not all listed: {_line(error, settings)}") from None


def _list_letters(uids: Sequence[str], kafka: Kafka, stop: Stop) -> None:
    require_kafka(properties.common(kafka))
    with closing(Consumer(properties.browser(kafka))) as consumer:
        for line in search.table(Topic(consumer, kafka.dead_letter_topic), uids, stop):
            say(line)
    say(f"what {kafka.topic} and {kafka.dead_letter_topic} hold of them goes with the retention of these topics")


def _forget(older_than: float, settings: Settings) -> None:
    """Forget old erasures; refuse while a topic may still hold a record that would bring such an order back."""
    kafka = settings.kafka
    require_kafka(properties.common(kafka))
    stays = topics.longest_stays((kafka.topic, kafka.dead_letter_topic), Admin(properties.common(kafka)))
    for topic, stay in stays.items():
        if stay > older_than:
            longest = "for ever" if stay == topics.FOR_EVER else f"for {stay / _DAY_SECONDS:g} days"
            raise CommandRefused(f"--forget-older-than: {topic} may hold a record {longest}, which brings orders back")
    with _erasures(settings) as erasures:
        say(f"{erasures.forget(older_than):,} erasures forgotten")


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
        return str(explained(error, properties.common(settings.kafka)))
    return str(error)


def _order_uid(text: str) -> str:
    try:
        return msgspec.convert(text, OrderUid)
    except msgspec.ValidationError:
        raise argparse.ArgumentTypeError(f"must be 1 to {MAX_UID} of A-Z, a-z, 0-9, _ and -") from None
