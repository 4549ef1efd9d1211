"""Every error that a module of Orders raises for another one, and what the caller does.

OrdersError
├── DocumentRejected             a message is not a valid order: dead-letter it
├── StorageError                 PostgreSQL did not store, or did not return, orders
│   ├── OrderRejected                the data of an order: split the batch, and dead-letter the order that fails alone
│   ├── StatementTimedOut            the batch took too long: retry it in halves
│   └── StorageUnavailable           any other cause: retry; the API answers 503
│       ├── ConcurrentChange             another writer changed the same data first: retry, and never give up
│       ├── SchemaMismatch               a table, column or privilege is missing: retry; a command says what to run
│       ├── InternalError                a fault inside PostgreSQL, perhaps of one order: retry, and find that order
│       └── ReadInterrupted              a read lost its connection or was canceled: retry it on another connection
├── PostgresDiagnosis            a command found out why PostgreSQL cannot be reached, and what to check: fail
├── DeadLettersUnavailable       the dead-letter topic did not acknowledge `unsent`: retry these, and commit nothing
├── GroupChanged                 the member left its group, or the topic was recreated: retry, and commit nothing
├── KafkaRequestFailed           Kafka did not do what was asked: fail; the API answers 503
│   ├── KafkaUnavailable             the client got no answer: a command connects again, to find out why
│   ├── KafkaDiagnosis               a command found out why no broker can be reached, and what to check: fail
│   ├── KafkaRequestRejected         Kafka would reject the same request again: fail
│   ├── UnknownTopic                 a topic does not exist: fail
│   ├── ReadTimedOut                 the messages of a topic did not arrive in time: fail
│   └── DecompressionFailed          a batch exceeds the limit of the Kafka client: fail
├── GroupHasMembers              members of a group would overwrite its new offsets: commit nothing
├── BatchNotFound                no batch, or another one, blocks the group: skip nothing
├── BatchIncomplete              messages of a batch were not read: skip nothing
├── DeadLetterNotFound           the dead-letter topic has no such dead letter: fail
├── TooManyDeadLetters           an order has more of them than one replay sends: refuse
├── OrdersTooLarge               several orders do not fit into one response: refuse
├── ErasuresStillNeeded          a topic may have records of erased orders: forget no erasure
├── KafkaClientFailed            the Kafka client is unusable: let the process restart
├── TryAgain                     an attempt failed: the Poller repeats it
├── DeadlineExceeded             no attempt of a Poller succeeded in time: fail
├── Stopped                      shutdown was requested during a wait or a read: return, and commit nothing
├── InvalidSettings              a setting is invalid: start nothing
│   └── PropertyRejected             librdkafka rejects a property: start nothing
├── UsageError                   the arguments of a command contradict each other, or one is missing: start nothing
├── NotConfirmed                 the user of a command did not confirm: change nothing
├── FileNotWritten               a file exists, or cannot be written: fail
├── CommandError                 raised by commands alone, for reasons that have no name here: fail
├── CheckFailed                  a check of `orders doctor` failed: report it with a hint, and continue
├── CheckWarning                 a check found a problem that only costs speed: report it; the check passes
├── UnsupportedEncoding          the database is not UTF8: start nothing
├── MigrationError               the schema or the topics cannot be migrated to this release: fail
├── InvalidKeysFile              the file of API keys is invalid: start nothing; while running, log it
├── RequestRefused               a request is not for the application: answer `status`, and close the connection
├── PortUnavailable              a port is in use, or binding it is not permitted: fail
├── ReadFailed                   `orders check` cannot read Kafka or PostgreSQL: fail
└── ServerUnavailable            an embedded server of the demo or the tests did not start, or exited: fail

`service/main.py` prints the text of those that reach it as one line, and returns the exit code. At run time, this
module imports nothing from the project, so every package can raise them.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from http import HTTPStatus

    from service.entities.dead_letter import DeadLetter, Reason, Violation


class OrdersError(Exception):
    """Base of all errors of `service`. Their text never contains a value of an order or a secret."""


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


class PostgresDiagnosis(OrdersError):
    """The text gives addresses, cause and the setting to check: only for users of commands.

    It is no StorageError, because nothing was sent: there is nothing to retry and nothing that may be committed.
    """


class DeadLettersUnavailable(OrdersError):
    """The topic acknowledged all but `unsent`."""

    def __init__(self, problem: str, unsent: "Sequence[DeadLetter]") -> None:
        super().__init__(problem)
        self.unsent = unsent


class GroupChanged(OrdersError):
    """The text says what changed."""


class KafkaRequestFailed(OrdersError):
    """The text is one line of fixed phrases and names of topics, for users of commands and clients of the API."""


class KafkaUnavailable(KafkaRequestFailed):
    """A call timed out, for example, or the connection was closed. The same request may succeed later."""


class KafkaDiagnosis(KafkaRequestFailed):
    """The text gives addresses and the cause: only for users of commands.

    It is no KafkaUnavailable, for which a command would connect again to find the cause.
    """


class KafkaRequestRejected(KafkaRequestFailed):
    """A right is missing, for example, or a value is invalid."""


class UnknownTopic(KafkaRequestFailed):
    """The text names the topic and the command that creates it."""


class ReadTimedOut(KafkaRequestFailed):
    """The partitions have these messages, but the broker did not deliver them."""


class DecompressionFailed(KafkaRequestFailed):
    """The text names the batch and the setting or option that raises the limit. The same read fails again."""


class GroupHasMembers(OrdersError):
    def __init__(self, group_id: str, count: int) -> None:
        super().__init__(f"group {group_id} has {count} members: stop the consumers first")


class BatchNotFound(OrdersError):
    """The text gives the partition and its offset."""


class BatchIncomplete(OrdersError):
    """The text says how many messages were read, and where they were saved."""


class DeadLetterNotFound(OrdersError):
    def __init__(self, topic: str, partition: int, offset: int) -> None:
        super().__init__(f"{topic} has no dead letter at partition {partition}, offset {offset}")


class TooManyDeadLetters(OrdersError):
    def __init__(self, limit: int) -> None:
        super().__init__(f"the order has more than {limit} dead letters: name them by partition and offset")


class OrdersTooLarge(OrdersError):
    """The caller knows the limit."""


class ErasuresStillNeeded(OrdersError):
    """The text names the topic, and how long it keeps records."""


class KafkaClientFailed(OrdersError):
    """The client reported a fatal error."""


class TryAgain(OrdersError):
    """The text names what is missing. The Poller reports it as "waiting for TEXT"."""


class DeadlineExceeded(OrdersError):
    """The text gives what the Poller was waiting for."""


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


class NotConfirmed(OrdersError):
    """The text says what was not done."""


class FileNotWritten(OrdersError):
    """The text names the file and the reason."""


class CommandError(OrdersError):
    """The text is one line for the user of the command."""


class CheckFailed(OrdersError):
    """The text describes the problem."""


class CheckWarning(OrdersError):
    """The text describes the problem."""


class UnsupportedEncoding(OrdersError):
    def __init__(self, encoding: str) -> None:
        super().__init__(f"unsupported database encoding {encoding}: create the database with ENCODING 'UTF8'")


class MigrationError(OrdersError):
    """The text is one line for the user of `orders migrate`."""


class InvalidKeysFile(OrdersError):
    """The text names the line, never its content."""


class RequestRefused(OrdersError):
    def __init__(self, status: "HTTPStatus") -> None:
        super().__init__(f"request refused with status {status:d}")
        self.status = status


class PortUnavailable(OrdersError):
    """The text is one line for the user."""


class ReadFailed(OrdersError):
    """The text contains no values and no secrets."""


class ServerUnavailable(OrdersError):
    """The text names the server and the reason."""
