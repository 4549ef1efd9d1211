"""The headers of a Kafka message, also of one that the client library stumbles over."""

from operator import methodcaller
from typing import Any, Final

from confluent_kafka import Message

_headers: Final = methodcaller("headers")
"""For a name that is not UTF-8 the library leaves an error behind and returns a list with holes, which ends the process
when it is looked at. A caller in C finds that out each time; the interpreter's own call, once optimised, does not."""


def headers_of(message: Message) -> list[tuple[str, bytes | None]] | None:
    """Return them in their order; None where a name is not UTF-8. To be called once for a message."""
    try:
        headers: Any = _headers(message)
    except SystemError:
        return None
    return headers or []
