"""The one tree of errors.

OrdersError
├── DocumentRejected             a message is not an order: it goes to the dead-letter topic
├── StorageError                 PostgreSQL did not store what it was given
│   ├── OrderRejected                 permanently: it refused the data of one order
│   └── StorageUnavailable           for now: retried for as long as it takes
│       └── StatementTimedOut            the batch was too much for the statement timeout: halved and retried
├── DeadLettersUnavailable       the dead-letter topic does not take messages now: nothing moves until it does
├── KafkaUnavailable             Kafka does not tell now what it is asked: the same question can be answered later
├── KafkaClientFailed            the Kafka client is dead, and stays so: only a new process helps
├── InvalidSettings              a setting is refused before anything starts
├── CommandRefused               a command can't do what it was asked; the text is the line for its user
├── DatabaseUnfit                the database can't hold orders as they are: nothing starts on it
├── MigrationError               the schema or the topics could not be brought to what this release needs
├── KeysRefused                  the file of API keys can't be used
├── PortUnavailable              a port that is to be listened on is taken, or not ours to take
└── ServerUnavailable            an embedded server of the demo or the tests did not start, or stopped by itself
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.entities.dead_letter import DeadLetter, Reason, Violation


class OrdersError(Exception):
    """Base of every error that this package raises on purpose. Its text never holds a value of an order or a secret."""


class DocumentRejected(OrdersError):
    """A message is not an order. `violations` name fields and rules, never values."""

    def __init__(self, reason: "Reason", violations: "Sequence[Violation]") -> None:
        super().__init__(f"{reason}: {', '.join(map(str, violations))}")
        self.reason = reason
        self.violations = tuple(violations)


class StorageError(OrdersError):
    """PostgreSQL did not store what it was given. `sqlstate` is five characters, or empty where there was none."""

    def __init__(self, problem: str, *, sqlstate: str = "") -> None:
        super().__init__(f"{problem} (SQLSTATE {sqlstate})" if sqlstate else problem)
        self.problem = problem
        self.sqlstate = sqlstate
        self.attempts = 1


class OrderRejected(StorageError):
    """PostgreSQL refused the data; `position` is the index of the order to blame, where it is known."""

    def __init__(self, problem: str, *, sqlstate: str, where: str = "", position: int | None = None) -> None:
        super().__init__(problem, sqlstate=sqlstate)
        self.where = where
        self.position = position


class StorageUnavailable(StorageError):
    """PostgreSQL is away, busy, read-only, or lost a race: the same call can succeed later."""


class StatementTimedOut(StorageUnavailable):
    """The statement timeout ended the call (57014): half as much may pass."""


class DeadLettersUnavailable(OrdersError):
    """The dead-letter topic did not take `unsent`; the rest is acknowledged."""

    def __init__(self, problem: str, unsent: "Sequence[DeadLetter]") -> None:
        super().__init__(problem)
        self.unsent = unsent


class KafkaUnavailable(OrdersError):
    """Kafka does not tell now what it is asked: the same question can be answered later."""


class KafkaClientFailed(OrdersError):
    """The Kafka client reported a fatal error: it does nothing more, so that the process has to end."""


class InvalidSettings(OrdersError):
    """A setting is refused; the text is one line that names the variable, and never its value."""


class CommandRefused(OrdersError):
    """A command can't do what it was asked; the text is the line for its user."""


class DatabaseUnfit(OrdersError):
    """The database is in another encoding than UTF-8, which has a code for every character of an order."""

    def __init__(self, encoding: str) -> None:
        super().__init__(f"the database's encoding is {encoding}, and orders need UTF8: create it with ENCODING 'UTF8'")


class MigrationError(OrdersError):
    """The schema or the topics could not be brought to what this release needs."""


class KeysRefused(OrdersError):
    """The file of API keys can't be used; the text names the line, and never what stands in it."""


class PortUnavailable(OrdersError):
    """A port that is to be listened on is taken, or not ours to take; the text is the line for the user."""


class ServerUnavailable(OrdersError):
    """An embedded server did not start, or stopped by itself; the text tells which and why."""
