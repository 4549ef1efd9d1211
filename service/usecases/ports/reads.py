"""Interfaces of the API: its reads, and the events of what changed."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Annotated, NamedTuple, Protocol

from msgspec import Meta, Struct

from service.entities.order import OrderUid
from service.entities.version import MAX_TIMESTAMP_MS, MAX_TOPIC_LENGTH, RecordCoordinates
from service.errors import StorageUnavailable


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
    """The result of a query: a document or summary as compact JSON, always the same bytes; None if there is none.

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

    async def documents_within(self, uids: Sequence[str], max_bytes: int) -> Mapping[str, ReadResult]:
        """Read each of these orders in one query, which ends early if all documents together are larger.

        Raises OrdersTooLarge then. Few documents are in memory beyond `max_bytes`.
        """

    async def summaries(self, uids: Sequence[str]) -> Mapping[str, ReadResult]:
        """Like `documents`, but return the summaries of `page`."""

    def newest(self, count: int) -> AbstractAsyncContextManager[Snapshot]:
        """Take a snapshot of this many orders, newest first. The block may end before the last one is read."""

    async def page(self, query: PageQuery) -> Page: ...

    async def history(self, uid: str) -> OrderHistory | None:
        """Return the recorded versions of an order, or None if it is not stored."""

    async def erased_at(self, uid: str) -> datetime | None:
        """Return when an order was last erased, in UTC; None if it was not, or may be stored again."""

    async def estimate(self) -> OrderCount:
        """Return the number of stored orders: exact if they are few, else an estimate."""


StoredAt = Annotated[str, Meta(pattern=r"^[0-9]{4,6}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(\.[0-9]{1,6})?Z\Z")]
"""The time in UTC, as in summaries."""
_Topic = Annotated[str, Meta(pattern=rf"^[A-Za-z0-9._-]{{1,{MAX_TOPIC_LENGTH}}}\Z")]
_Version = tuple[Annotated[int, Meta(ge=0, le=MAX_TIMESTAMP_MS)], int, int]


class Notification(Struct, frozen=True):
    """The orders that one transaction inserted, and those that it changed.

    `versions` belong to the orders of `new`, then of `changed`, and their records to `topic`. A transaction that
    deletes orders has no versions, no topic and no `stored_at`.
    """

    new: list[OrderUid] = []
    changed: list[OrderUid] = []
    stored_at: StoredAt | None = None
    topic: _Topic | None = None
    versions: list[_Version] = []

    def __post_init__(self) -> None:
        if self.versions and len(self.versions) != len(self.new) + len(self.changed):
            raise ValueError("a version for each order is required")


class EventPublisher(Protocol):
    def publish(self, notification: Notification) -> None: ...

    def reset(self, since: datetime | None) -> None:
        """Tell the clients that events may be missing since this time."""


class WarmUpObserver(Protocol):
    def on_retry(self, error: StorageUnavailable) -> None:
        """Report an attempt that failed and will be repeated."""

    def on_overdue(self, problem: str) -> None:
        """Report that the API becomes ready before the orders are loaded."""

    def on_done(self, orders: int, seconds: float) -> None:
        """Report how many orders were loaded, and how long that took."""


class ReadAvailability(Protocol):
    def mark_unreachable(self) -> None:
        """Record that the database cannot be read."""
