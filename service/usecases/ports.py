"""Every interface that a use case requires, or that connects packages which must not import each other.

Each is here with the values that its methods exchange. `repo` and `handler` implement them.
"""

from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from enum import Enum, auto
from typing import NamedTuple, Protocol

from service.entities.dead_letter import DeadLetter
from service.entities.dead_letter_record import DeadLetterId, DeadLetterRecord, Excerpt
from service.entities.order import Order
from service.entities.version import RecordCoordinates, VersionedOrder
from service.errors import StorageUnavailable
from service.pkg.rate import Rate
from service.usecases.batch import Batch
from service.usecases.dead_letter_counts import ArrivalCounts, CountsQuery
from service.usecases.dead_letter_filters import DeadLetterFilters


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
        return StoreCounts(*(left + right for left, right in zip(self, other, strict=True)))


class OrderStore(Protocol):
    def prepare(self, order: Order, source: RecordCoordinates, document: bytes) -> VersionedOrder:
        """Return the order, with what the store can encode ahead of the write.

        Safe in any thread. `document` is the JSON that the order was decoded from.
        """

    def store(self, orders: Sequence[VersionedOrder]) -> StoreCounts:
        """Store orders in one transaction; the greatest version of an order wins.

        Blocks for little more than the statement timeout. Raises OrderRejected, StatementTimedOut or
        StorageUnavailable; nothing is stored then. Raises UnsupportedEncoding if the database must not be used.
        """


class DeadLetters(Protocol):
    def send_and_commit(self, batch: Batch, dead_letters: Sequence[DeadLetter]) -> bool:
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


class PageCursor(NamedTuple):
    """The sort key of a page's last order; `created_us` is its `date_created` in microseconds since 1970."""

    created_us: int
    order_uid: str


class PageQuery(NamedTuple):
    """A page of orders, newest first, created from `created_from` up to but excluding `created_to`.

    None omits a filter.
    """

    limit: int
    after: PageCursor | None = None
    customer_id: str | None = None
    track_number: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None


class Page(NamedTuple):
    """Summaries as JSON, without personal data, and the cursor of the next page, if there is one."""

    summaries: list[bytes]
    next: PageCursor | None


class OrderCount(NamedTuple):
    """The number of stored orders; above a few thousand it is an estimate."""

    orders: int
    is_estimate: bool


class OrderVersion(NamedTuple):
    """A version of an order, which is or was stored.

    `changed_fields`: the paths in which it differs from the version before; None if that is not recorded.
    """

    source: RecordCoordinates
    stored_at: datetime
    changed_fields: Sequence[str] | None


class OrderHistory(NamedTuple):
    """The number of recorded replacements, and the recorded versions: newest first, from the stored one."""

    replacements: int
    versions: Sequence[OrderVersion]


class ReadResult(NamedTuple):
    """The result of a query: the document as compact JSON, always the same bytes; None if there is no such order.

    `replay_lsn`: the query saw every commit up to this WAL position of a standby. None: it ran on the primary, and saw
    every commit before it started.
    """

    document: bytes | None
    replay_lsn: int | None = None


class Snapshot(NamedTuple):
    """Uids and documents, read while the block runs, and the `replay_lsn` (see ReadResult) of all of them.

    A document is None if rows of the order are missing.
    """

    orders: AsyncIterator[tuple[str, bytes | None]]
    replay_lsn: int | None = None


class OrderReader(Protocol):
    """The API's reads. Every call returns within little more than the statement timeout. Raises StorageUnavailable."""

    async def documents(self, uids: Sequence[str]) -> Mapping[str, ReadResult]:
        """Read each of these orders in one query."""

    def newest(self, count: int) -> AbstractAsyncContextManager[Snapshot]:
        """Take a snapshot of this many orders, newest first. The block may end before the last one is read."""

    async def page(self, query: PageQuery) -> Page: ...

    async def history(self, uid: str) -> OrderHistory | None:
        """Return the recorded versions of an order, or None if it is not stored."""

    async def estimate(self) -> OrderCount:
        """Return the number of stored orders: exact if they are few, else an estimate."""


class DeadLetterQuery(NamedTuple):
    """A page of at most `limit` dead letters, newest first.

    `before`: by partition, the offset before which to read. None: the end of the topic.
    """

    limit: int
    before: Mapping[int, int] | None = None
    filters: DeadLetterFilters = DeadLetterFilters()


class DeadLetterPage(NamedTuple):
    """`before` is for the next query; None if the whole topic was read."""

    dead_letters: Sequence[Excerpt]
    before: Mapping[int, int] | None


class DeadLetterReader(Protocol):
    """The dead-letter topic. Every method raises KafkaRequestFailed."""

    async def page(self, query: DeadLetterQuery) -> DeadLetterPage:
        """Return the matching dead letters among a bounded number, possibly none."""

    async def find(self, partition: int, offset: int) -> DeadLetterRecord | None:
        """Return the dead letter at this offset, or None if there is none."""

    async def counts(self, query: CountsQuery) -> ArrivalCounts:
        """Return how many of a bounded number arrived, by time and reason. The result may be some seconds old."""


class ReplayRefusal(Enum):
    """Why a dead letter is not replayed. `text` follows the dead letter's place in a sentence."""

    MISSING = "missing", "has no dead letter"
    STUB = "stub", "is a stub: its original was too large for the dead-letter topic"
    NO_ORIGIN = "no-origin", "has no origin headers"
    OTHER_TOPIC = "other-topic", "came from another topic"
    REPLAYED_TOO_OFTEN = "replayed-too-often", "was replayed too often"
    TOO_LARGE = "too-large", "is larger than the order topic takes"
    OTHER_ORDER = "other-order", "belongs to another order than the edited value"

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        self.text = text


class ReplaySource(Protocol):
    """The dead-letter topic. Every method may block for seconds, and raises KafkaRequestFailed."""

    def read_new(self, since: datetime | None) -> Iterator[DeadLetterRecord]:
        """Yield the dead letters after the committed offsets, or else those that arrived since this time.

        Ends early on a stop.
        """

    def find(self, partition: int, offset: int) -> DeadLetterRecord | None:
        """Return the dead letter at this offset; None if there is none, and on a stop."""

    def find_order(self, order_uid: str) -> Iterator[DeadLetterId]:
        """Yield the places of the order's dead letters, by key and content. Ends early on a stop."""

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Commit the next offsets of this replay, by partition."""


class ReplayTarget(Protocol):
    """The order topic."""

    def send(self, dead_letters: Sequence[DeadLetterRecord]) -> Sequence[DeadLetterRecord]:
        """Block until all are acknowledged; return those that are too large for the topic.

        Raises KafkaRequestFailed.
        """


class ReplayObserver(Protocol):
    """Called for each dead letter of a replay, or of its preview, that matches the filters."""

    def on_sent(self, dead_letter: DeadLetterRecord) -> None:
        """Report a dead letter that the broker has acknowledged; in a preview, one that would be sent."""

    def on_refused(self, dead_letter: DeadLetterId, refusal: ReplayRefusal) -> None:
        """Report a dead letter that is not sent, or a named place that has none."""


class EditedValue(NamedTuple):
    """A valid document that is sent instead of a dead letter's value."""

    value: bytes
    order_uid: str


class ReplayRequest(NamedTuple):
    """Which dead letters to replay, and how: these, or if None all of one order.

    `replayed_by` is the name of the API key, or the user of the command.
    """

    dead_letters: Sequence[DeadLetterId] | None
    order_uid: str
    replayed_by: str
    max_replays: int
    edited: EditedValue | None = None
    is_dry_run: bool = False


class ReplayResult(NamedTuple):
    """`refusal` is None if the dead letter was sent, or would be in a dry run."""

    dead_letter: DeadLetterId
    refusal: ReplayRefusal | None


class DeadLetterReplayer(Protocol):
    async def replay(self, request: ReplayRequest) -> Sequence[ReplayResult]:
        """Replay at most MAX_CHOSEN dead letters; return a result for each.

        Raises TooManyDeadLetters before anything is sent, and KafkaRequestFailed, after which some may have been sent.
        """


class EventPublisher(Protocol):
    @property
    def rate(self) -> Rate:
        """Events per second."""

    def publish(self, kind: str, order_uids: Sequence[str]) -> None: ...

    def reset(self, since: datetime | None) -> None:
        """Tell the clients that events may be missing since this time."""


class ReadAvailability(Protocol):
    def mark_unreachable(self) -> None:
        """Record that the database cannot be read."""


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
        """Return the batch that blocks the group. Raises BatchNotFound if no batch or another one does."""

    def lines(self, batch: UnreadableRecordBatch) -> Iterator[bytes]:
        """Yield the messages of the batch, each as a line of JSON. Raises DecompressionFailed if it is too large."""

    def is_compacted(self) -> bool:
        """Return whether messages of a batch may be missing because the topic is compacted."""

    def commit(self, batch: UnreadableRecordBatch) -> None:
        """Commit the offset after the batch for the group."""


class CitusState(Enum):
    """Whether the database can distribute tables: it must be the COORDINATOR."""

    NOT_INSTALLED = auto()
    NOT_CREATED = auto()
    """The server has loaded the library, but the database lacks the extension."""
    NOT_PRELOADED = auto()
    """The database has the extension, but the server has not loaded the library."""
    WORKER = auto()
    COORDINATOR = auto()


class Placement(Enum):
    """The servers that hold the rows of a table."""

    LOCAL = auto()
    """One server holds all rows: the table is not distributed yet."""
    DISTRIBUTED = auto()
    """The nodes of Citus hold the rows as this release needs them."""
    MISPLACED = auto()
    """The nodes of Citus hold the rows by another column, in another group, or replicated instead of distributed."""


class TableDistribution(NamedTuple):
    """A table, and the SQL statement that distributes it, which copies `size_bytes` of rows."""

    name: str
    placement: Placement
    size_bytes: int
    statement: str


class TableDistributor(Protocol):
    """The tables of this release in a database that may have Citus. Every method raises StorageError."""

    def citus(self) -> CitusState: ...

    def schema_version(self) -> tuple[int, int]:
        """Return the number of the schema's revision, and the one that this release needs."""

    def tables(self) -> Sequence[TableDistribution]:
        """Return all tables, each after those that it references."""

    def foreign_keys_of_others(self) -> Sequence[str]:
        """Return the foreign keys between these tables and others."""

    def connected_writers(self) -> int:
        """Return how many consumers are connected to any node. Needs Citus."""

    def distribute(self, table: TableDistribution) -> None:
        """Copy the rows of the table to the nodes, which blocks its writers for as long."""
