"""Filters that select the dead letters of a command or a page."""

from datetime import datetime
from typing import NamedTuple

from service.entities.dead_letter_headers import Header
from service.entities.dead_letter_record import DeadLetterRecord
from service.pkg.timestamps import to_milliseconds
from service.usecases.ports.ownership import order_of


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

    def matches(self, dead_letter: DeadLetterRecord) -> bool:
        return (
            self._matches_time(dead_letter.timestamp_ms)
            and (not self.reasons or dead_letter.reason in self.reasons)
            and (self.text is None or self.text.casefold() in dead_letter.text(Header.DETAIL).casefold())
            and (self.order is None or order_of(dead_letter.key, dead_letter.value, [self.order]) is not None)
        )

    def _matches_time(self, timestamp_ms: int) -> bool:
        is_too_old = self.since is not None and timestamp_ms < to_milliseconds(self.since)
        return not is_too_old and (self.until is None or timestamp_ms < to_milliseconds(self.until))
