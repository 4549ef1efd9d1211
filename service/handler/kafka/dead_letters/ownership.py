"""Tells whose a dead letter is, whatever is wrong with it."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from msgspec import DecodeError, Struct
from msgspec.json import decode

from service.entities.order import MAX_UID, UID_CHARACTER

_QUOTED: Final = re.compile(rf'"({UID_CHARACTER}{{1,{MAX_UID}}})(?=")'.encode())
"""What may be an id, in quotes; the one that closes it may open the next."""


class _Document(Struct):
    order_uid: Any = None


def order_of(key: bytes | None, value: bytes | None, uids: Sequence[str]) -> str | None:
    """Return the first of these orders that a dead letter is of: by its key, or by its document's `order_uid`.

    Where no such field can be read, an id in quotes anywhere in the value tells.
    """
    names = {key, *_names(value or b"")}
    return next((uid for uid in uids if uid.encode() in names), None)


def _names(value: bytes) -> Iterable[bytes]:
    named = _order_uid(value)
    return _QUOTED.findall(value) if named is None else [named.encode()]


def _order_uid(value: bytes) -> str | None:
    try:
        named = decode(value, type=_Document).order_uid
    except (DecodeError, RecursionError, UnicodeDecodeError):
        return None
    return named if isinstance(named, str) else None
