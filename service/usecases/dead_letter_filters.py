"""Which dead letters the filters of a command or a page select."""

from service.entities.dead_letter_headers import Header
from service.entities.dead_letter_record import DeadLetterRecord
from service.pkg.timestamps import to_milliseconds
from service.usecases.ownership import order_of
from service.usecases.ports.dead_letters import DeadLetterFilters


def matches(filters: DeadLetterFilters, dead_letter: DeadLetterRecord) -> bool:
    return (
        _matches_time(filters, dead_letter.timestamp_ms)
        and (not filters.reasons or dead_letter.reason in filters.reasons)
        and (filters.text is None or filters.text.casefold() in dead_letter.text(Header.DETAIL).casefold())
        and (filters.order is None or order_of(dead_letter.key, dead_letter.value, [filters.order]) is not None)
    )


def _matches_time(filters: DeadLetterFilters, timestamp_ms: int) -> bool:
    is_too_old = filters.since is not None and timestamp_ms < to_milliseconds(filters.since)
    return not is_too_old and (filters.until is None or timestamp_ms < to_milliseconds(filters.until))
