"""`python -m tests.kit.failpoints SIGNAL FAILPOINT NTH consumer` runs a consumer that signals itself at a failpoint.

SIGKILL ends the process there as a power failure would, SIGSTOP suspends it. The service has no code for this.
"""

import signal
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from threading import get_ident
from typing import Any, NamedTuple

import psycopg

from service.handler.kafka.consumer.worker import BatchWorker
from service.handler.kafka.dead_letters import transactional
from service.handler.kafka.dead_letters.producer import DeadLetterProducer
from service.main import main


class Failpoint(NamedTuple):
    """The place before or after the calls of `owner.name` whose arguments satisfy `is_meant`."""

    owner: Any
    name: str
    is_after: bool
    is_meant: Callable[..., bool] = lambda *_: True


def is_commit(_: object, statement: object, *__: object) -> bool:
    return statement == "COMMIT"


def is_copy_of_items(copy: psycopg.Copy, *_: object) -> bool:
    """Return whether this is the last COPY of a transaction, which by then holds all its locks."""
    query: Any = copy.cursor._query  # psycopg has no public name for the statement
    return b" items " in query.query


def has_dead_letters(_: object, __: object, dead_letters: object) -> bool:
    return bool(dead_letters)


def is_transaction_commit(end: Callable[..., object]) -> bool:
    return end.__name__ == "commit_transaction"


FAILPOINTS: Mapping[str, Failpoint] = {
    "after-decoding": Failpoint(BatchWorker, "submit", is_after=False),
    "during-copy": Failpoint(psycopg.Copy, "write", is_after=True, is_meant=is_copy_of_items),
    "before-commit": Failpoint(psycopg.Connection, "execute", is_after=False, is_meant=is_commit),
    "after-commit": Failpoint(psycopg.Connection, "execute", is_after=True, is_meant=is_commit),
    "before-dead-letters": Failpoint(DeadLetterProducer, "send_and_commit", is_after=False, is_meant=has_dead_letters),
    "after-dead-letters": Failpoint(DeadLetterProducer, "send_and_commit", is_after=True, is_meant=has_dead_letters),
    "before-send-offsets": Failpoint(transactional, "call_within", is_after=False),
    "before-transaction-commit": Failpoint(
        transactional, "_end_transaction", is_after=False, is_meant=is_transaction_commit
    ),
    "after-transaction-commit": Failpoint(
        transactional, "_end_transaction", is_after=True, is_meant=is_transaction_commit
    ),
}


def arm(failpoint: Failpoint, nth: int, number: signal.Signals) -> None:
    """Send this thread the signal when it reaches the failpoint for the `nth` time."""
    function, remaining = getattr(failpoint.owner, failpoint.name), nth

    def reach() -> None:
        nonlocal remaining
        remaining -= 1
        if not remaining:
            signal.pthread_kill(get_ident(), number)  # this thread executes nothing more

    @wraps(function)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        is_meant = failpoint.is_meant(*arguments)
        if is_meant and not failpoint.is_after:
            reach()
        result = function(*arguments, **options)
        if is_meant and failpoint.is_after:
            reach()
        return result

    setattr(failpoint.owner, failpoint.name, wrapped)


if __name__ == "__main__":
    _, sig, failpoint, nth, *command = sys.argv
    arm(FAILPOINTS[failpoint], int(nth), signal.Signals[sig])
    sys.exit(main(command))
