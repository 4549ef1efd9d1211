"""The errors that modules of Orders raise for each other, and what the caller does.

An error has a class of its own only if a caller handles it differently. All others are CommandFailed. Two errors are
declared elsewhere, because a library catches them: `Problem` (FastAPI answers with it) and `PasswordUnavailable`
(psycopg and its pool treat it as a failed connection).

OrdersError
├── CommandFailed                a command, `consumer` and `api` included, cannot continue: exit with 1
├── DocumentRejected             a message is not a valid order: dead-letter it
├── StorageError                 PostgreSQL did not store, or did not return, orders
│   ├── OrderRejected                the data of an order: split the batch, and dead-letter the order that fails alone
│   ├── StatementTimedOut            the batch took too long: retry it in halves
│   └── StorageUnavailable           any other cause: retry; the API answers 503
│       ├── ConcurrentChange             another writer changed the same data first: retry, and never give up
│       ├── SchemaMismatch               a table, column or privilege is missing: retry; a command says what to run
│       ├── InternalError                a fault inside PostgreSQL, perhaps of one order: retry, and find that order
│       └── ReadInterrupted              a read lost its connection or was canceled: retry it on another connection
├── RegistryUnavailable          the schema registry did not return a schema: retry, and commit nothing
│   └── SchemaUnknown                it does not know the schema, which may be new: retry a few times
├── UnusableSchema               a schema is invalid, or its messages could take much memory: reject its messages
├── SchemaNotLoaded              a message needs a schema that is not cached: load it, and decode the message then
├── DeadLettersUnavailable       the dead-letter topic did not acknowledge `unsent`: retry these, and commit nothing
├── GroupChanged                 the member left its group, or the topic was recreated: retry, and commit nothing
├── KafkaRequestFailed           Kafka did not do what was asked: fail; the API answers 503
│   ├── KafkaUnavailable             the client got no answer: a command connects again, to find out why
│   └── KafkaRequestRejected         Kafka would reject the same request again: fail
├── BatchNotSkipped              a batch does not block the group, or was not saved whole: commit nothing
├── RecordsRetained              a topic may have records that would restore erased orders: refuse
├── TooManyDeadLetters           an order has more of them than one replay sends: refuse
├── OrdersTooLarge               several orders do not fit into one response: refuse
├── TryAgain                     an attempt failed: the Poller repeats it
├── Stopped                      shutdown was requested during a wait or a read: return, and commit nothing
├── InvalidSettings              a setting is invalid: start nothing
│   └── PropertyRejected             librdkafka rejects a property: start nothing
├── UsageError                   the arguments of a command contradict each other, or one is missing: start nothing
├── CheckFailed                  a check of `orders doctor` failed: report it with a hint, and continue
├── CheckWarning                 a check found a problem that only costs speed: report it; the check passes
├── InvalidKeysFile              the file of API keys is invalid: start nothing; while running, log it
├── SecretUnavailable            a file or function did not provide a password or token: name the setting, and retry
├── RequestRefused               a request is not for the application: answer `status`, and close the connection
└── ServerUnavailable            an embedded server of the demo or the tests did not start, or exited: fail

`service/main.py` prints the text of those that reach it as one line, and returns the exit code. At run time, this
module imports nothing from the project, so every package can raise them.
"""

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from http import HTTPStatus
    from uuid import UUID

    from service.entities.dead_letter import DeadLetter, Reason, Violation

_DAY_SECONDS: Final = 86_400


class OrdersError(Exception):
    """Base of all errors of `service`. Their text never contains a value of an order or a secret."""


class CommandFailed(OrdersError):
    """The text is one line for the user of the command: what failed, why, and what to do."""


class DocumentRejected(OrdersError):
    """`violations` name fields and rules, never values."""

    def __init__(self, reason: "Reason", violations: "Sequence[Violation]") -> None:
        super().__init__(f"{reason}: {', '.join(map(str, violations))}")
        self.reason = reason
        self.violations = tuple(violations)


class StorageError(OrdersError):
    """`problem` is a fixed phrase. `sqlstate` has five characters, or is empty if PostgreSQL sent none."""

    def __init__(self, problem: str, *, sqlstate: str = "") -> None:
        super().__init__(f"{problem} (SQLSTATE {sqlstate})" if sqlstate else problem)
        self.problem = problem
        self.sqlstate = sqlstate


class OrderRejected(StorageError):
    """`where` names table, column and constraint. `index` is that of the rejected order, if it is known."""

    def __init__(self, problem: str, *, sqlstate: str, where: str = "", index: int | None = None) -> None:
        super().__init__(problem, sqlstate=sqlstate)
        self.where = where
        self.index = index


class StatementTimedOut(StorageError):
    """The statement timeout canceled the call (SQLSTATE 57014)."""


class StorageUnavailable(StorageError):
    """PostgreSQL is, for example, unreachable, busy or read-only."""


class ConcurrentChange(StorageUnavailable):
    """The transaction lost a race: PostgreSQL is available, and no order is at fault."""


class ReadInterrupted(StorageUnavailable):
    """The same read is likely to succeed on another connection."""


class SchemaMismatch(StorageUnavailable):
    """`orders migrate` or roles.sql was not run for this release (SQLSTATE class 42)."""


class InternalError(StorageUnavailable):
    """A bug or damaged data (SQLSTATE class XX), or a row that a worker of Citus rejected."""


class RegistryUnavailable(OrdersError):
    """The text names the registry's addresses and the problem, never a secret."""


class SchemaUnknown(RegistryUnavailable):
    """The text names the schema."""


class UnusableSchema(OrdersError):
    """The text completes "the schema …"."""


class SchemaNotLoaded(OrdersError):
    """`key` is the id or the GUID of the schema."""

    def __init__(self, key: "int | UUID") -> None:
        super().__init__(f"schema {key} is not loaded")
        self.key = key


class DeadLettersUnavailable(OrdersError):
    """The topic acknowledged all but `unsent`. `hint` says what to do, if the error tells."""

    def __init__(self, problem: str, unsent: "Sequence[DeadLetter]", hint: str | None = None) -> None:
        super().__init__(problem)
        self.unsent = unsent
        self.hint = hint


class GroupChanged(OrdersError):
    """The text says what changed."""


class KafkaRequestFailed(OrdersError):
    """The text is one line of fixed phrases and names of topics, for users of commands and clients of the API.

    In a command, it may also give addresses.
    """


class KafkaUnavailable(KafkaRequestFailed):
    """A call timed out, for example, or the connection was closed. The same request may succeed later."""


class KafkaRequestRejected(KafkaRequestFailed):
    """A right is missing, for example, or a value is invalid."""


class BatchNotSkipped(OrdersError):
    """The text gives the reason."""


class RecordsRetained(OrdersError):
    """`max_age` in seconds; infinite if the topic keeps records forever."""

    def __init__(self, topic: str, max_age: float) -> None:
        retained = "forever" if math.isinf(max_age) else f"for up to {max_age / _DAY_SECONDS:g} days"
        super().__init__(f"{topic} keeps records {retained}, which would restore orders")


class TooManyDeadLetters(OrdersError):
    def __init__(self, limit: int) -> None:
        super().__init__(f"the order has more than {limit} dead letters: name them by partition and offset")


class OrdersTooLarge(OrdersError):
    def __init__(self) -> None:
        super().__init__("the orders together are too large")


class TryAgain(OrdersError):
    """The text names what is missing. The Poller reports it as "waiting for TEXT"."""


class Stopped(OrdersError):
    """The text says what was stopped."""

    def __init__(self, text: str = "stopped by a shutdown request") -> None:
        super().__init__(text)


class InvalidSettings(OrdersError):
    """The text is one line that names the setting, never a secret."""


class PropertyRejected(InvalidSettings):
    """`problem` names the property, never its value."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"ORDERS_KAFKA__PROPERTIES: {problem}")
        self.problem = problem


class UsageError(OrdersError):
    """The text is one line that names the command and the argument. argparse rejects those that are invalid alone."""


class CheckFailed(OrdersError):
    """The text describes the problem."""


class CheckWarning(OrdersError):
    """The text describes the problem."""


class InvalidKeysFile(OrdersError):
    """The text names the line, never its content."""


class SecretUnavailable(OrdersError):
    """The text continues the name of the setting, and never contains the secret."""


class RequestRefused(OrdersError):
    def __init__(self, status: "HTTPStatus") -> None:
        super().__init__(f"request refused with status {status:d}")
        self.status = status


class ServerUnavailable(OrdersError):
    """The text names the server and the reason."""
