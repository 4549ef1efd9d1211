"""Finds out which order a record belongs to, even if its document is malformed."""

import binascii
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

from msgspec import DecodeError, Struct
from msgspec.json import decode

from service.entities.order import MAX_UID_LENGTH, UID_CHARACTER
from service.pkg.gunzip import gunzip, is_gzip

_UID: Final = re.compile(rf"{UID_CHARACTER}{{1,{MAX_UID_LENGTH}}}".encode())
_QUOTED: Final = re.compile(rb'"(%b)(?=")' % _UID.pattern)
"""A quoted text that may be an `order_uid`. The closing quote may open the next one."""
_FIELD: Final = re.compile(rb'"order_uid"\s*:\s*"(%b)"' % _UID.pattern)

_MAX_DECOMPRESSED_BYTES: Final = 2**24
_UTF8_MARK: Final = b"\xef\xbb\xbf"
_BASE64: Final = re.compile(rb'"data_base64"\s*:\s*"([A-Za-z0-9+/=]*)"')
_WRAPPERS: Final = ("after", "payload", "data")
"""The fields of envelopes that contain the document as an object or text. `data_base64` contains its bytes."""
_BINARY: Final = re.compile(rb"[\0-\x08\x0e-\x1f]")
"""A control character, which no JSON text contains."""
_MALFORMED_JSON: Final = re.compile(rb'\s*["{\[][^\0]*')
"""A text that was meant to be JSON, whatever other control characters it contains."""


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

    That is the valid `order_uid` of its document, which may be in an envelope. If that is not readable, it is one that
    the text names nevertheless, or else the key, if the value contains it.
    """
    content = _decompressed(value or b"").removeprefix(_UTF8_MARK)
    uid = _wrapped_uid(content)
    if uid is not None:
        return uid if _UID.fullmatch(uid.encode()) else None
    if _is_binary(content):
        return key.decode() if key and _UID.fullmatch(key) and key in content else None
    return _named_order(key, [*_texts(content)])


def is_binary(value: bytes | None) -> bool:
    """Return whether a value, when decompressed, is no text, but for example Avro, Protobuf or UTF-16."""
    return _is_binary(_decompressed(value or b""))


def _is_binary(content: bytes) -> bool:
    return _BINARY.search(content) is not None and _MALFORMED_JSON.fullmatch(content) is None


def _named_order(key: bytes | None, texts: Sequence[bytes]) -> str | None:
    for text in texts:
        if fields := _FIELD.findall(text):
            return str(fields[-1], "ascii")
    return key.decode() if key is not None and any(key in _QUOTED.findall(text) for text in texts) else None


def _wrapped_uid(document: bytes | str) -> str | None:
    """Return the `order_uid` of a document or of the one in it, if all are well-formed."""
    with suppress(DecodeError, RecursionError, UnicodeDecodeError):
        return _uid_in(decode(document))
    return None


def _uid_in(document: Any) -> str | None:
    if isinstance(document, str):
        return _wrapped_uid(document)
    if not isinstance(document, dict):
        return None
    if isinstance(uid := document.get("order_uid"), str):
        return uid
    inner = [*(_uid_in(document.get(field)) for field in _WRAPPERS), _encoded_uid(document.get("data_base64"))]
    return next((uid for uid in inner if uid is not None), None)


def _encoded_uid(document: Any) -> str | None:
    with suppress(ValueError):
        return _wrapped_uid(binascii.a2b_base64(document)) if isinstance(document, str) else None
    return None


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
    content, _ = gunzip(value, _MAX_DECOMPRESSED_BYTES) if is_gzip(value) else (value, None)
    return content or value


def _order_uid(value: bytes) -> str | None:
    try:
        uid = decode(value, type=_OrderUid).order_uid
    except (DecodeError, RecursionError, UnicodeDecodeError):
        return None
    return uid if isinstance(uid, str) else None
