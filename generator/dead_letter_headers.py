"""Reads the headers of dead letters for checks. Of the code that it checks it uses only the names of headers."""

from typing import Final, NamedTuple

from service.entities.dead_letter_headers import Header, Headers

_NUMBERS: Final = (Header.TIMESTAMP, Header.PARTITION, Header.OFFSET)


class Origin(NamedTuple):
    """The first record of a dead-lettered or replayed message."""

    timestamp_ms: int
    partition: int
    offset: int
    topic: str


def last_headers(headers: Headers | None) -> dict[str, bytes]:
    """Return the last value of each name, without nulls."""
    return {name: value for name, value in headers or () if value is not None}


def origin_of(headers: dict[str, bytes]) -> Origin | None:
    """Return None if a header is missing or malformed."""
    topic, *numbers = (headers.get(name, b"") for name in (Header.TOPIC, *_NUMBERS))
    if not topic or not all(number.isdigit() for number in numbers):
        return None
    timestamp_ms, partition, offset = map(int, numbers)
    return Origin(timestamp_ms, partition, offset, topic.decode(errors="replace"))
