"""Finds out which order a record belongs to, even if its document is malformed."""

import binascii
import re
from codecs import BOM_UTF8
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder

from service.entities.order import MAX_UID_LENGTH, UID_CHARACTER
from service.pkg.gunzip import gunzip

_UID: Final = re.compile(rf"{UID_CHARACTER}{{1,{MAX_UID_LENGTH}}}".encode())
_FIELD: Final = re.compile(rb'"order_uid"\s*:\s*"(%b)"' % _UID.pattern)

_MAX_DECOMPRESSED_BYTES: Final = 2**24
_FRAME_BYTES: Final = 5
"""0x00 and the id of a schema, in front of a value in Confluent's wire format."""
_MAX_DEPTH: Final = 10
"""Envelopes and texts around a document: each is decoded again, and no format has more than a few."""
_BASE64: Final = re.compile(rb'"data_base64"\s*:\s*"([A-Za-z0-9+/=]*)"')
_BINARY: Final = re.compile(rb"[\0-\x08\x0e-\x1f]")
"""A control character, which no JSON text contains."""
_MALFORMED_JSON: Final = re.compile(rb'\s*["{\[][^\0]*')
"""A text that was meant to be JSON, whatever other control characters it contains."""
_NULL: Final = Raw(b"null")


class _Document(Struct):
    """A document, or an envelope with the document as an object or text, or with its bytes in Base64.

    Other fields are not decoded: they may have any value.
    """

    order_uid: Any = None
    after: Raw = _NULL
    payload: Raw = _NULL
    data: Raw = _NULL
    data_base64: Any = None


_DECODER: Final[Decoder[_Document | str]] = Decoder(_Document | str)


def order_of(key: bytes | None, value: bytes | None, uids: Sequence[str]) -> str | None:
    """Return the first of these uids that is the key of the record, or the `order_uid` of its document.

    If the value is no order with a readable `order_uid`, but malformed or an envelope, a quoted uid anywhere in it
    counts; if it is binary (Avro, Protobuf), any uid.
    """
    may_be = _matcher(_content(value))
    return next((uid for uid in uids if uid.encode() == key or may_be(uid.encode())), None)


def known_order(key: bytes | None, value: bytes | None) -> str | None:
    """Return the order that a record certainly belongs to.

    That is the valid `order_uid` of its document, which may be in an envelope. If the document cannot be read, it is
    an `order_uid` in its text, or else the key, if the value contains it.
    """
    content = _content(value)
    uid = next(_uids(content), None)
    if uid is not None:
        return uid if is_uid(uid) else None
    if _is_binary(content):
        return key.decode() if key and _UID.fullmatch(key) and key in content else None
    return _named_order(key, [*_texts(content)])


def is_uid(text: str) -> bool:
    """Return whether a text is a valid `order_uid`."""
    return _UID.fullmatch(text.encode()) is not None


def is_binary(value: bytes | None) -> bool:
    """Return whether a value, when decompressed, is not text, but for example Avro, Protobuf or UTF-16."""
    return _is_binary(_content(value))


def _content(value: bytes | None) -> bytes:
    """Return a value decompressed (if malformed, in part), without byte order mark and schema id in front of JSON."""
    value = value or b""
    decompressed, _ = gunzip(value, _MAX_DECOMPRESSED_BYTES)
    content = (decompressed or value).removeprefix(BOM_UTF8)
    if content.startswith(b"\0") and _decoded(framed := content[_FRAME_BYTES:]) is not None:
        return framed
    return content


def _is_binary(content: bytes) -> bool:
    return _BINARY.search(content) is not None and _MALFORMED_JSON.fullmatch(content) is None


def _named_order(key: bytes | None, texts: Sequence[bytes]) -> str | None:
    for text in texts:
        for last in deque(_FIELD.finditer(text), maxlen=1):
            return last[1].decode()
    return key.decode() if key and _UID.fullmatch(key) and _is_quoted(key, texts) else None


def _decoded(content: bytes | str | Raw) -> _Document | str | None:
    """Return the document, or a text that may contain one; None if the content is neither or malformed."""
    with suppress(DecodeError, RecursionError, UnicodeDecodeError):
        return _DECODER.decode(content)
    return None


def _uids(content: bytes | str | Raw, max_depth: int = _MAX_DEPTH) -> Iterator[str]:
    """Yield the `order_uid` of a document, or of each document in it, as far as they are well-formed."""
    document = _decoded(content) if max_depth else None
    if isinstance(document, _Document) and isinstance(document.order_uid, str):
        yield document.order_uid
        return
    for inner in _inner(document):
        yield from _uids(inner, max_depth - 1)


def _inner(document: _Document | str | None) -> Sequence[bytes | str | Raw]:
    """Return the parts that may be documents."""
    if isinstance(document, _Document):
        return document.after, document.payload, document.data, _base64_decoded(document.data_base64)
    return () if document is None else (document,)


def _base64_decoded(text: Any) -> bytes:
    with suppress(ValueError):
        return binascii.a2b_base64(text) if isinstance(text, str) else b""
    return b""


def _matcher(content: bytes) -> Callable[[bytes], bool]:
    """Return a function that tells whether the record may contain the order with a given uid."""
    document = _decoded(content)
    if isinstance(document, _Document) and isinstance(document.order_uid, str):
        return document.order_uid.encode().__eq__
    if _BINARY.search(content):
        return content.__contains__
    texts, decoded = [*_texts(content)], {uid.encode() for uid in _uids(content)}
    return lambda uid: uid in decoded or _is_quoted(uid, texts)


def _is_quoted(uid: bytes, texts: Iterable[bytes]) -> bool:
    """Return whether a text contains the uid in quotes. A list of all quoted texts could take much memory."""
    return any(b'"%b"' % uid in text for text in texts)


def _texts(content: bytes) -> Iterator[bytes]:
    """Yield the text, the same without the escapes of a document in a string, and the document of a CloudEvent."""
    yield content
    if b'\\"' in content:
        yield content.replace(b'\\"', b'"')
    for encoded in _BASE64.findall(content):
        with suppress(binascii.Error):
            yield binascii.a2b_base64(encoded)
