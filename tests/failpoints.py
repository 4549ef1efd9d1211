"""`python -m tests.failpoints SIGNAL PLACE NTH consumer`: the service, which signals itself at a failpoint.

With SIGKILL the process dies between two instructions of its own, as in a power cut, with SIGSTOP it freezes there;
nothing in the service knows of it.
"""

import signal
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from threading import get_ident
from typing import Any, NamedTuple

import psycopg

from service.handler.kafka.consumer.worker import BatchWorker
from service.handler.kafka.dead_letters import transactional as transactions
from service.handler.kafka.dead_letters.producer import DeadLetterProducer
from service.main import main


class Place(NamedTuple):
    """Before or after a call of `owner.name`, where its arguments are those that are meant."""

    owner: Any
    name: str
    is_after: bool
    meant: Callable[..., bool] = lambda *_: True


def is_commit(_: object, statement: object, *__: object) -> bool:
    return statement == "COMMIT"


def is_of_items(copy: psycopg.Copy, *_: object) -> bool:
    """The last COPY of a transaction, which by then has locked all that it will."""
    query: Any = copy.cursor._query  # psycopg tells nowhere else what a COPY is of
    return b" items " in query.query


def has_dead_letters(_: object, dead_letters: object, *__: object) -> bool:
    return bool(dead_letters)


def is_kafka_commit(end: Callable[..., object]) -> bool:
    return end.__name__ == "commit_transaction"


PLACES: Mapping[str, Place] = {
    "after-decoding": Place(BatchWorker, "submit", is_after=False),
    "during-copy": Place(psycopg.Copy, "write", is_after=True, meant=is_of_items),
    "before-commit": Place(psycopg.Connection, "execute", is_after=False, meant=is_commit),
    "after-commit": Place(psycopg.Connection, "execute", is_after=True, meant=is_commit),
    "before-dead-letters": Place(DeadLetterProducer, "send", is_after=False, meant=has_dead_letters),
    "after-dead-letters": Place(DeadLetterProducer, "send", is_after=True, meant=has_dead_letters),
    "before-send-offsets": Place(transactions, "_bounded", is_after=False),
    "before-transaction-commit": Place(transactions, "_patiently", is_after=False, meant=is_kafka_commit),
    "after-transaction-commit": Place(transactions, "_patiently", is_after=True, meant=is_kafka_commit),
}


def arm(place: Place, passing: int, sent: signal.Signals) -> None:
    """Let this process be hit when it passes the place for the `passing`-th time."""
    function, left = getattr(place.owner, place.name), passing

    def pass_by() -> None:
        nonlocal left
        left -= 1
        if not left:
            signal.pthread_kill(get_ident(), sent)  # this very thread takes not one step more

    @wraps(function)
    def deadly(*arguments: Any, **options: Any) -> Any:
        is_meant = place.meant(*arguments)
        if is_meant and not place.is_after:
            pass_by()
        result = function(*arguments, **options)
        if is_meant and place.is_after:
            pass_by()
        return result

    setattr(place.owner, place.name, deadly)


if __name__ == "__main__":
    _, name, chosen, nth, *rest = sys.argv
    arm(PLACES[chosen], int(nth), signal.Signals[name])
    sys.exit(main(rest))
