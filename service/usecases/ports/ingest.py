"""Interfaces that the ingestion of orders requires."""

from collections.abc import Mapping, Sequence
from operator import add
from typing import NamedTuple, Protocol

from service.entities.dead_letter import DeadLetter
from service.entities.partition import Partition
from service.entities.version import VersionedOrder
from service.errors import StorageUnavailable


class StoreCounts(NamedTuple):
    """Counts of the orders of one transaction. Erased and expired orders are not stored."""

    new: int = 0
    replaced: int = 0
    unchanged: int = 0
    stale: int = 0
    erased: int = 0
    expired: int = 0

    def __add__(self, other: object) -> "StoreCounts":
        if not isinstance(other, StoreCounts):
            return NotImplemented
        return StoreCounts(*map(add, self, other))


class OrderStore(Protocol):
    def store(self, orders: Sequence[VersionedOrder]) -> StoreCounts:
        """Store orders in one transaction; the greatest version of an order wins.

        Blocks for little more than the statement timeout. Raises OrderRejected, StatementTimedOut or
        StorageUnavailable; nothing is stored then. Any other OrdersError means that the database must not be used.
        """


class CommittableBatch(Protocol):
    @property
    def commit_offsets(self) -> Mapping[Partition, int]:
        """The offset to commit, by partition. Each access leaves out the partitions that were revoked before it."""

    @property
    def leader_epochs(self) -> Mapping[Partition, int | None]:
        """The leader epoch of the record before that offset, by partition; None if it is unknown."""


class DeadLetters(Protocol):
    def send_and_commit(self, batch: CommittableBatch, dead_letters: Sequence[DeadLetter]) -> bool:
        """Block until the dead-letter topic has acknowledged every dead letter of a batch whose orders are stored.

        It is called for every batch, even one without dead letters. Returns whether the offsets were committed in the
        same transaction; if not, the caller commits them.
        Raises DeadLettersUnavailable with those that were not acknowledged, and Stopped.
        """


class RetryObserver(Protocol):
    """Counts and logs attempts that failed, and how their retries ended."""

    def on_retry(self, error: BaseException, attempts: int, wait_seconds: float) -> None:
        """Report the error of the last of these attempts, which is retried after `wait_seconds`."""

    def on_recovery(self, error: BaseException) -> None:
        """Report the last error before an attempt that succeeded."""

    def on_give_up(self, error: StorageUnavailable) -> None:
        """Report the last error before orders are dead-lettered."""


class CircuitBreakerPolicy(Protocol):
    """The conditions under which the circuit breaker opens."""

    @property
    def enabled(self) -> bool: ...

    @property
    def ratio(self) -> float:
        """Opens if more than this share of the last `window` messages is bad, or of the last `window` orders."""

    @property
    def window(self) -> int: ...

    @property
    def max_consecutive(self) -> int:
        """Opens after this many consecutive bad messages."""

    @property
    def min_rejected(self) -> int:
        """Opens after this many rejected orders since the database last stored one."""
