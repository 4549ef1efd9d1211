"""Filters that select the dead letters of a command or a page."""

from datetime import datetime
from hashlib import sha256
from typing import Final, NamedTuple

from service.entities.dead_letter_record import DeadLetterRecord
from service.entities.ownership import order_of
from service.pkg.timestamps import to_milliseconds

_HASH_DIGITS: Final = 12


class DeadLetterFilters(NamedTuple):
    """`since` is the earliest time of arrival in the dead-letter topic; `order` is an `order_uid`."""

    reasons: frozenset[str] = frozenset()
    since: datetime | None = None
    order: str | None = None

    @property
    def since_ms(self) -> int:
        return to_milliseconds(self.since) if self.since else 0

    def matches(self, dead_letter: DeadLetterRecord) -> bool:
        if dead_letter.timestamp_ms < self.since_ms or (self.reasons and dead_letter.reason not in self.reasons):
            return False
        return self.order is None or order_of(dead_letter.key, dead_letter.value, [self.order]) is not None

    def fingerprint(self, *more: object) -> str:
        """Return a short hash of the filters and of the other arguments."""
        parts = (sorted(self.reasons), self.since_ms, *more, *filter(None, [self.order]))
        return sha256(repr(parts).encode()).hexdigest()[:_HASH_DIGITS]
