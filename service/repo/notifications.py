"""The notifications that a writer sends in its transaction: the uids of new and of changed orders."""

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import DecodeError, Struct, ValidationError
from msgspec.json import Decoder, encode

from service.entities.order import OrderUid
from service.repo.scope import CHANNEL

MAX_PAYLOAD_BYTES: Final = 7_999
"""PostgreSQL rejects 8,000."""
NOTIFY: Final = rf"SELECT pg_notify({CHANNEL}, payload) FROM unnest(string_to_array(%s, E'\n')) payload"
"""The parameter is `payload_lines`. Few payloads per transaction, because NOTIFY takes a global lock at commit."""
_ENVELOPE_BYTES: Final = len('{"new":[],"changed":[]}')
_SEPARATOR_BYTES: Final = 3


class Notification(Struct, frozen=True):
    """The uids of orders that one transaction inserted, and of those that it changed."""

    new: list[OrderUid] = []
    changed: list[OrderUid] = []


_decoder: Final = Decoder(Notification)


def payloads(new: Sequence[str], changed: Sequence[str]) -> Iterator[str]:
    """Yield as few payloads as possible. Uids are ASCII, so characters are bytes."""
    for field, uids in (("new", new), ("changed", changed)):
        for chunk in _chunks(uids):
            yield encode({field: chunk}).decode()


def payload_lines(new: Sequence[str], changed: Sequence[str]) -> str:
    """Return the payloads as lines of one text: psycopg would escape each quote of an array of texts in Python code."""
    return "\n".join(payloads(new, changed))


def parse(payload: str) -> Notification | None:
    """Return the notification, or None if the payload is malformed."""
    try:
        return _decoder.decode(payload)
    except (DecodeError, ValidationError):
        return None


def _chunks(uids: Sequence[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    room = MAX_PAYLOAD_BYTES - _ENVELOPE_BYTES
    for uid in uids:
        cost = len(uid) + _SEPARATOR_BYTES
        if cost > room:
            yield chunk
            chunk, room = [], MAX_PAYLOAD_BYTES - _ENVELOPE_BYTES
        chunk.append(uid)
        room -= cost
    if chunk:
        yield chunk
