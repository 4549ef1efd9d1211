"""What the use cases need of the outside, said in their own words."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import NamedTuple, Protocol

from service.entities.dead_letter import DeadLetter
from service.entities.dead_letter_record import Excerpt
from service.entities.order import Order
from service.entities.version import RecordPosition, VersionedOrder
from service.usecases.batch import Batch


class Stored(NamedTuple):
    """How many orders of one transaction were new, replaced, unchanged, stale, or erased before: these stay away."""

    new: int = 0
    replaced: int = 0
    unchanged: int = 0
    stale: int = 0
    erased: int = 0

    def __add__(self, other: object) -> "Stored":
        if not isinstance(other, Stored):
            return NotImplemented
        return Stored(*(mine + its for mine, its in zip(self, other, strict=True)))


class OrderStore(Protocol):
    def prepare(self, order: Order, source: RecordPosition, *, needs_no_escaping: bool) -> VersionedOrder:
        """Do ahead of time what can be done for storing an order without the database; for any thread.

        `is_plain` promises that no text of the order holds a backslash or a control character.
        """

    def store(self, orders: Sequence[VersionedOrder]) -> Stored:
        """Store orders in one transaction; the greatest version of an id wins.

        Blocks for at most the statement timeout and a little. Raises OrderRefused, StatementTimedOut or
        StorageUnavailable; nothing is stored then. Raises DatabaseUnfit where nothing ever will be.
        """


class DeadLetters(Protocol):
    def finish(self, batch: Batch, dead_letters: Sequence[DeadLetter]) -> bool:
        """Block until the dead-letter topic has acknowledged every dead letter of a batch whose orders are stored.

        Returns whether the batch's offsets were committed in the same transaction; if not, the caller commits them.
        Raises DeadLettersUnavailable with those that were not acknowledged, and Stopped.
        """


class Cursor(NamedTuple):
    """The last order of a page: `created_us` is its `date_created` in microseconds since 1970."""

    created_us: int
    order_uid: str


class PageQuery(NamedTuple):
    """Which orders, newest first, and how many of them; None leaves a filter out."""

    limit: int
    after: Cursor | None = None
    customer_id: str | None = None
    track_number: str | None = None


class Page(NamedTuple):
    """Summaries as JSON texts without personal data, and where the next page begins, if there is one."""

    summaries: list[bytes]
    next: Cursor | None


class OrderCount(NamedTuple):
    """How many orders are stored; above a few thousand it is estimated."""

    orders: int
    is_estimate: bool


class Read(NamedTuple):
    """The result of a query: the document as compact JSON, always the same bytes; None if there is no such order.

    `replay_lsn`: the query saw every commit up to this WAL position of a standby. None: it ran on the primary, and saw
    every commit before it started.
    """

    document: bytes | None
    replay_lsn: int | None = None


class OrderReader(Protocol):
    """What the API reads. Every call ends within the statement timeout and a little, whatever the server does.

    Raises StorageUnavailable.
    """

    async def document(self, uid: str) -> Read: ...

    def newest(self, count: int) -> AsyncGenerator[tuple[str, Read], None]:
        """Yield ids and documents, newest first, from one snapshot that is taken at the first step.

        A standby's `replay_lsn` is yielded first, with an empty id and no document, because there may be no order.
        """

    async def page(self, query: PageQuery) -> Page: ...

    async def estimate(self) -> OrderCount:
        """Return how many orders are stored: exactly where they are few, else roughly."""


class DeadLetterQuery(NamedTuple):
    """Which dead letters, newest first, and how many at most; no reason means all of them.

    `before` is where a page goes on: by partition the offset before which to look. None is the end of the topic.
    """

    limit: int
    before: Mapping[int, int] | None = None
    reasons: frozenset[str] = frozenset()


class DeadLetterPage(NamedTuple):
    """`before` is for the next query; None where there is nothing left to look at."""

    dead_letters: Sequence[Excerpt]
    before: Mapping[int, int] | None


class DeadLetterReader(Protocol):
    async def page(self, query: DeadLetterQuery) -> DeadLetterPage:
        """Search a bounded number of dead letters; return those that match, perhaps none. Raises KafkaUnavailable."""
