"""Reads the headers of a Kafka message, even if their names are not UTF-8."""

from operator import methodcaller
from typing import Any, Final

from confluent_kafka import Message

_headers: Final = methodcaller("headers")
"""For a name that is not UTF-8, confluent-kafka sets an exception yet returns a list, with NULL items that crash the
process when read. A caller in C always checks for the exception; the interpreter's specialized call does not."""


def headers_of(message: Message) -> list[tuple[str, bytes | None]] | None:
    """Return the headers in order; None if a name is not UTF-8. Call it only once per message."""
    try:
        headers: Any = _headers(message)
    except SystemError:
        return None
    return headers or []
