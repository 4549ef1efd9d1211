"""The interface for browsing and counting dead letters."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from service.entities.dead_letter_record import DeadLetterRecord, Excerpt


class DeadLetterFilters(NamedTuple):
    """All that are set must match.

    `since` (inclusive) and `until` (exclusive) limit the time at which a dead letter arrived in the dead-letter topic.
    """

    reasons: frozenset[str] = frozenset()
    since: datetime | None = None
    order: str | None = None
    """The `order_uid`, in the key or the document."""
    until: datetime | None = None
    text: str | None = None
    """A part of `dlq-detail`, in upper or lower case. Values are not searched."""


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


class CountsQuery(NamedTuple):
    """The first bucket begins at `since`."""

    since: datetime
    bucket_seconds: int


class ArrivalCounts(NamedTuple):
    """The counts by reason of each bucket from the query's `since` to `until_ms`, oldest first.

    All are counted that arrived since `counted_since_ms`, and none before.
    """

    until_ms: int
    counted_since_ms: int
    buckets: Sequence[Mapping[str, int]]


class DeadLetterReader(Protocol):
    """The dead-letter topic. Every method raises KafkaRequestFailed."""

    async def page(self, query: DeadLetterQuery) -> DeadLetterPage:
        """Return the matching dead letters among a bounded number, possibly none."""

    async def find(self, partition: int, offset: int) -> DeadLetterRecord | None:
        """Return the dead letter at this offset, or None if there is none."""

    async def counts(self, query: CountsQuery) -> ArrivalCounts:
        """Return how many of a bounded number arrived, by time and reason. The result may be some seconds old."""
