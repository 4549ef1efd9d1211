"""Finds out which order a record belongs to, even if its document is malformed."""

import binascii
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

from msgspec import DecodeError, Struct
from msgspec.json import decode

from service.entities.order import MAX_UID_LENGTH, UID_CHARACTER

_QUOTED: Final = re.compile(rf'"({UID_CHARACTER}{{1,{MAX_UID_LENGTH}}})(?=")'.encode())
"""A quoted text that may be an `order_uid`. The closing quote may open the next one."""
_UID: Final = re.compile(f"{UID_CHARACTER}{{1,{MAX_UID_LENGTH}}}")


_GZIP_MAGIC: Final = b"\x1f\x8b"
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
_MAX_DECOMPRESSED_BYTES: Final = 2**24
_MAX_GZIP_MEMBERS: Final = 64
_BASE64: Final = re.compile(rb'"data_base64"\s*:\s*"([A-Za-z0-9+/=]*)"')
_BINARY: Final = re.compile(rb"[\0-\x08\x0e-\x1f]")
"""A control character, which no JSON text contains."""


class _OrderUid(Struct):
    """The only field of a document that is decoded."""

    order_uid: Any = None


def order_of(key: bytes | None, value: bytes | None, uids: Sequence[str]) -> str | None:
    """Return the first of these uids that is the key of the record, or the `order_uid` of its document.

    If the value is no order with a readable `order_uid`, but malformed or an envelope, a quoted uid anywhere in it
    counts; if it is binary (Avro, Protobuf), any uid.
    """
    may_be = _matcher(_decompressed(value or b""))
    return next((uid for uid in uids if uid.encode() == key or may_be(uid.encode())), None)


def known_order(key: bytes | None, value: bytes | None) -> str | None:
    """Return the order that a record certainly belongs to.

    That is the valid `order_uid` of its document, or, if the document has no readable one, a key that it quotes.
    """
    uid = _order_uid(value or b"")
    if uid is not None:
        return uid if _UID.fullmatch(uid) else None
    return key.decode() if key is not None and key in _QUOTED.findall(value or b"") else None


def _matcher(value: bytes) -> Callable[[bytes], bool]:
    """Return a function that tells whether the record may contain the order with a given uid."""
    uid = _order_uid(value)
    if uid is not None:
        return uid.encode().__eq__
    if _BINARY.search(value):
        return value.__contains__
    return {uid for text in _texts(value) for uid in _QUOTED.findall(text)}.__contains__


def _texts(value: bytes) -> Iterator[bytes]:
    """Yield the text, the same without the escapes of a document in a string, and the document of a CloudEvent."""
    yield value
    if b'\\"' in value:
        yield value.replace(b'\\"', b'"')
    for encoded in _BASE64.findall(value):
        with suppress(binascii.Error):
            yield binascii.a2b_base64(encoded)


def _decompressed(value: bytes) -> bytes:
    """Decompress gzip, as far as it is not malformed; other values stay as they are."""
    rest, content = value, b""
    with suppress(zlib.error):
        for _ in range(_MAX_GZIP_MEMBERS):
            room = _MAX_DECOMPRESSED_BYTES - len(content)
            if not rest.startswith(_GZIP_MAGIC) or not room:
                break
            member = zlib.decompressobj(_GZIP_WINDOW)
            content += member.decompress(rest, room)
            rest = member.unused_data
    return content or value


def _order_uid(value: bytes) -> str | None:
    try:
        uid = decode(value, type=_OrderUid).order_uid
    except (DecodeError, RecursionError, UnicodeDecodeError):
        return None
    return uid if isinstance(uid, str) else None
