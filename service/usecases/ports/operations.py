"""Interfaces that the maintenance commands require: erase, prune, distribute and skip-batch."""

from collections.abc import Collection, Iterator, Sequence
from enum import Enum, auto
from typing import NamedTuple, Protocol


class ErasureStatus(NamedTuple):
    """Which of the given orders are stored or erased. An earlier release may have stored an erased order."""

    stored: set[str]
    erased: set[str]


class ErasureStore(Protocol):
    """Every method raises StorageError."""

    def status(self, uids: Sequence[str]) -> ErasureStatus: ...

    def erase(self, uids: Sequence[str]) -> set[str]:
        """Delete these orders and record their erasure; return those that were stored."""

    def undo(self, uids: Sequence[str]) -> None: ...

    def count_older_than(self, seconds: float) -> int:
        """Return how many erasures `forget_older_than` would remove."""

    def forget_older_than(self, seconds: float) -> int:
        """Remove erasures older than this; return how many."""


class ExpiredOrders(Protocol):
    """The stored orders that were created before a cutoff. Every method raises StorageError."""

    def count(self) -> int: ...

    def delete_oldest(self, limit: int) -> int:
        """Delete at most `limit` of them in one transaction; return how many. 0: none is left."""


class OrderRecords(Protocol):
    def find(self, uids: Collection[str]) -> dict[str, str]:
        """Return the coordinates of the first unread record of each of these orders.

        Each call starts where the previous one ended. Raises Stopped, KafkaRequestFailed.
        """


class UnreadableRecordBatch(NamedTuple):
    """The unread offsets of one batch, from `begin` up to but excluding `end`."""

    partition: int
    begin: int
    end: int

    def __str__(self) -> str:
        return f"partition {self.partition}, offsets {self.begin} to {self.end - 1}"


class RecordBatchSource(Protocol):
    """The order topic. Every method may block for seconds, and raises KafkaRequestFailed."""

    def find(self, partition: int, offset: int) -> UnreadableRecordBatch:
        """Return the batch that blocks the group. Raises BatchNotSkipped if no batch or another one does."""

    def lines(self, batch: UnreadableRecordBatch) -> Iterator[bytes]:
        """Yield the messages of the batch, each as a line of JSON. Raises KafkaRequestFailed if it is too large."""

    def is_compacted(self) -> bool:
        """Return whether messages of a batch may be missing because the topic is compacted."""

    def commit(self, batch: UnreadableRecordBatch) -> None:
        """Commit the offset after the batch for the group."""


class Placement(Enum):
    """Which servers hold the rows of a table."""

    LOCAL = auto()
    """One server holds all rows: the table is not distributed yet."""
    DISTRIBUTED = auto()
    """Several servers hold the rows, as this release needs them."""
    MISPLACED = auto()
    """Several servers hold the rows, but in another way."""


class TableDistribution(NamedTuple):
    """A table, whose distribution copies `size_bytes` of rows."""

    name: str
    placement: Placement
    size_bytes: int


class TableDistributor(Protocol):
    """The tables of this release. Every method raises StorageError."""

    def server_problem(self) -> str | None:
        """Return why this server cannot distribute tables, and what to do; None if it can."""

    def schema_version(self) -> tuple[int, int]:
        """Return the number of the schema's revision, and the one that this release needs."""

    def tables(self) -> Sequence[TableDistribution]:
        """Return all tables, each after those that it references."""

    def foreign_keys_of_others(self) -> Sequence[str]:
        """Return the foreign keys between these tables and others."""

    def connected_writers(self) -> int:
        """Return how many consumers are connected to any server. Requires that there is no `server_problem`."""

    def distribute(self, table: TableDistribution) -> None:
        """Copy the rows of the table to the servers, which blocks its writers for as long."""
