"""What the writer tells the readers in the transaction that stores: which orders are new and which changed."""

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import DecodeError, Struct, ValidationError
from msgspec.json import Decoder, encode

from service.entities.order import OrderUid
from service.repo.scope import CHANNEL

MAX_PAYLOAD: Final = 7_999
"""Bytes; PostgreSQL refuses 8,000."""
NOTIFY: Final = f"SELECT pg_notify({CHANNEL}, payload) FROM unnest(%s::text[]) payload"
"""A few payloads a transaction: NOTIFY takes a global lock at commit."""
_FRAME: Final = len('{"new":[],"changed":[]}')
_QUOTES_AND_COMMA: Final = 3


class Notification(Struct, frozen=True):
    """Ids of orders that one transaction stored for the first time, and of those that it changed."""

    new: list[OrderUid] = []
    changed: list[OrderUid] = []


_decoder: Final = Decoder(Notification)


def payloads(new: Sequence[str], changed: Sequence[str]) -> Iterator[str]:
    """Yield as few payloads as hold all ids; ids are ASCII, so that characters are bytes."""
    for field, ids in (("new", new), ("changed", changed)):
        for chunk in _chunks(ids):
            yield encode({field: chunk}).decode()


def parse(payload: str) -> Notification | None:
    """Return what a payload says; None where somebody else sent it."""
    try:
        return _decoder.decode(payload)
    except (DecodeError, ValidationError):
        return None


def _chunks(ids: Sequence[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    room = MAX_PAYLOAD - _FRAME
    for uid in ids:
        cost = len(uid) + _QUOTES_AND_COMMA
        if cost > room:
            yield chunk
            chunk, room = [], MAX_PAYLOAD - _FRAME
        chunk.append(uid)
        room -= cost
    if chunk:
        yield chunk
