"""All errors that `service` raises, and what each means for the caller.

OrdersError
├── DocumentRejected             a message is not a valid order: it is dead-lettered
├── StorageError                 PostgreSQL did not store the orders
│   ├── OrderRejected                permanent: it rejected the data of an order, which is dead-lettered
│   ├── StatementTimedOut            the batch exceeded the statement timeout: halved and retried
│   └── StorageUnavailable           temporary: retried without limit by default
├── DeadLettersUnavailable       the dead-letter topic does not accept messages: retried, and nothing is committed
├── KafkaUnavailable             a query of Kafka failed: a later one may succeed
├── KafkaClientFailed            the Kafka client reported a fatal error: the process must restart
├── TryAgain                     an attempt failed: the Poller that made it repeats it
├── DeadlineExceeded             the attempts of a Poller did not succeed in time: the command fails
├── Stopped                      shutdown was requested during a wait: return without committing anything
├── InvalidSettings              a setting or an argument is invalid: nothing starts
├── CommandError                 a command failed for a reason that its user can act on
├── CheckFailed                  a check of `orders doctor` failed: it is reported with a hint, and the next one runs
├── CheckWarning             what a check of `orders doctor` found costs speed only: it counts as passed
├── UnsupportedEncoding          the database is not UTF8: nothing starts
├── MigrationError               the schema or the topics cannot be migrated to this release
├── InvalidKeysFile              the file of API keys is invalid
├── RequestRefused               a request is answered with `status` without reaching the application
├── PortUnavailable              a port is in use, or binding it is not permitted
└── ServerUnavailable            an embedded server of the demo or the tests did not start, or exited

`orders` prints the text of each as one line and exits with 1 (InvalidSettings: 2). This module imports none of the
project, so that every package can raise them.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from http import HTTPStatus

    from service.entities.dead_letter import DeadLetter, Reason, Violation


class OrdersError(Exception):
    """Base of all errors of `service`. Their text never contains a value of an order or a secret."""


class DocumentRejected(OrdersError):
    """A message is not a valid order. `violations` name fields and rules, never values."""

    def __init__(self, reason: "Reason", violations: "Sequence[Violation]") -> None:
        super().__init__(f"{reason}: {', '.join(map(str, violations))}")
        self.reason = reason
        self.violations = tuple(violations)


class StorageError(OrdersError):
    """PostgreSQL did not store the orders. `sqlstate` has five characters, or is empty if PostgreSQL sent none."""

    def __init__(self, problem: str, *, sqlstate: str = "") -> None:
        super().__init__(f"{problem} (SQLSTATE {sqlstate})" if sqlstate else problem)
        self.problem = problem
        self.sqlstate = sqlstate


class OrderRejected(StorageError):
    """PostgreSQL rejected the data. `position` is the index of the rejected order, if it is known."""

    def __init__(self, problem: str, *, sqlstate: str, where: str = "", position: int | None = None) -> None:
        super().__init__(problem, sqlstate=sqlstate)
        self.where = where
        self.position = position


class StatementTimedOut(StorageError):
    """The statement timeout canceled the call (57014). Half of the orders may succeed."""


class StorageUnavailable(StorageError):
    """PostgreSQL is unreachable, busy or read-only, or the transaction lost a race: a retry can succeed."""


class DeadLettersUnavailable(OrdersError):
    """The dead-letter topic did not acknowledge `unsent`; it acknowledged the rest."""

    def __init__(self, problem: str, unsent: "Sequence[DeadLetter]") -> None:
        super().__init__(problem)
        self.unsent = unsent


class KafkaUnavailable(OrdersError):
    """A query of Kafka failed. A later one may succeed."""


class KafkaClientFailed(OrdersError):
    """The Kafka client reported a fatal error and is unusable: the process must restart."""


class TryAgain(OrdersError):
    """The attempt failed, and a later one may succeed. The text completes "waiting for …"."""


class DeadlineExceeded(OrdersError):
    """The deadline has passed, or the process is shutting down. The text gives what it was waiting for."""


class Stopped(OrdersError):
    """Shutdown was requested during a wait."""

    def __init__(self) -> None:
        super().__init__("stopped by a shutdown request")


class InvalidSettings(OrdersError):
    """A setting or an argument is invalid. The text is one line that names it, never a secret."""


class CommandError(OrdersError):
    """A command failed for a reason that its user can act on. The text is one line for that user."""


class CheckFailed(OrdersError):
    """A check of `orders doctor` failed. The text describes the problem."""


class CheckWarning(OrdersError):
    """What a check of `orders doctor` found costs speed, but works. The text describes the problem."""


class UnsupportedEncoding(OrdersError):
    """The database's encoding is not UTF8, so it cannot store every order."""

    def __init__(self, encoding: str) -> None:
        super().__init__(f"unsupported database encoding {encoding}: create the database with ENCODING 'UTF8'")


class MigrationError(OrdersError):
    """The schema or the topics cannot be migrated to this release."""


class InvalidKeysFile(OrdersError):
    """The file of API keys is invalid. The text names the line, never its content."""


class RequestRefused(OrdersError):
    """The request is answered with this status before it reaches the application, and the connection is closed."""

    def __init__(self, status: "HTTPStatus") -> None:
        super().__init__(f"request refused with status {status:d}")
        self.status = status


class PortUnavailable(OrdersError):
    """A port is in use, or binding it is not permitted. The text is one line for the user."""


class ServerUnavailable(OrdersError):
    """An embedded server did not start, or exited. The text names it and the reason."""
