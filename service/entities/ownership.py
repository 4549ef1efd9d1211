"""Finds out which order a record belongs to, even if its document is malformed."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from msgspec import DecodeError, Struct
from msgspec.json import decode

from service.entities.order import MAX_UID_LENGTH, UID_CHARACTER

_QUOTED: Final = re.compile(rf'"({UID_CHARACTER}{{1,{MAX_UID_LENGTH}}})(?=")'.encode())
"""A quoted text that may be an `order_uid`. The closing quote may open the next one."""
_UID: Final = re.compile(f"{UID_CHARACTER}{{1,{MAX_UID_LENGTH}}}")


class _OrderUid(Struct):
    """The only field of a document that is decoded."""

    order_uid: Any = None


def order_of(key: bytes | None, value: bytes | None, uids: Sequence[str]) -> str | None:
    """Return the first of these uids that is the key of the record, or the `order_uid` of its document.

    If the document has no readable `order_uid`, a quoted uid anywhere in the value counts.
    """
    possible = {key, *_possible_uids(value or b"")}
    return next((uid for uid in uids if uid.encode() in possible), None)


def known_order(key: bytes | None, value: bytes | None) -> str | None:
    """Return the order that a record certainly belongs to.

    That is the valid `order_uid` of its document, or, if the document has no readable one, a key that it quotes.
    """
    uid = _order_uid(value or b"")
    if uid is not None:
        return uid if _UID.fullmatch(uid) else None
    return key.decode() if key is not None and key in _QUOTED.findall(value or b"") else None


def _possible_uids(value: bytes) -> Iterable[bytes]:
    uid = _order_uid(value)
    return _QUOTED.findall(value) if uid is None else [uid.encode()]


def _order_uid(value: bytes) -> str | None:
    try:
        uid = decode(value, type=_OrderUid).order_uid
    except (DecodeError, RecursionError, UnicodeDecodeError):
        return None
    return uid if isinstance(uid, str) else None
