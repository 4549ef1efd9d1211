"""Formats of messages, as their producers write them, and the documents in them.

Independent of the consumer's code, which is itself under test.
"""

import gzip
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from generator.faults import GZIP_HEADER
from service.entities.dead_letter_headers import Headers

JSON: Final = "json"
MIXED: Final = "mixed"

_NULL: Final = b"null"
_CLOUDEVENT: Final = b'{"specversion":"1.0","id":"1","source":"/orders/generate","type":"order.placed",'
_CLOUDEVENT_HEADERS: Final[Headers] = [
    ("ce_specversion", b"1.0"),
    ("ce_id", b"1"),
    ("ce_source", b"/orders/generate"),
    ("ce_type", b"order.placed"),
    ("content-type", b"application/json"),
]
_CONNECT: Final = b'{"schema":{"type":"struct","fields":[],"optional":true},"payload":%b}'


def _gzip(document: bytes) -> bytes:
    """Store the document without compressing it: compressed bytes differ between builds of zlib."""
    return GZIP_HEADER + gzip.compress(document, compresslevel=0, mtime=0)[len(GZIP_HEADER) :]


def _cloudevent(document: bytes) -> bytes:
    return b'%b"datacontenttype":"application/json","data":%b}' % (_CLOUDEVENT, document)


def _debezium(document: bytes) -> bytes:
    operation = b"d" if document == _NULL else b"c"
    return b'{"before":null,"after":%b,"source":{"connector":"postgresql"},"op":"%b","ts_ms":0}' % (document, operation)


def _outbox(document: bytes) -> bytes:
    """Return a row whose column has the document as text, if it can be text."""
    try:
        payload = document if document == _NULL else json.dumps(document.decode()).encode()
    except UnicodeDecodeError:
        return document
    return b'{"id":1,"aggregatetype":"order","payload":%b}' % payload if document.startswith((b"{", b"n")) else document


_WRAPS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    JSON: lambda document: document,
    "gzip": _gzip,
    "cloudevents": _cloudevent,
    "cloudevents-binary": lambda document: document,
    "debezium": _debezium,
    "debezium-schema": lambda document: _CONNECT % _debezium(document),
    "outbox": _outbox,
    "connect": lambda document: _CONNECT % document,
}
FORMATS: Final = (*_WRAPS, MIXED)
"""Formats of a stream. In a mixed one, each message has another one than the message before it."""

REGISTRY_FORMATS: Final = ("confluent-json", "avro", "protobuf")
"""Formats whose schema is in a registry: `generator.encodings` encodes the orders of a stream in plain JSON."""


def wrap(document: bytes | None, message_format: str, number: int = 0) -> tuple[bytes | None, Headers]:
    """Return the value and the headers of a message; `number` is its place in the stream.

    A document that is no JSON gives a message that is as undecodable. No value stays none.
    """
    if message_format == MIXED:
        message_format = FORMATS[number % len(_WRAPS)]
    headers = _CLOUDEVENT_HEADERS if message_format == "cloudevents-binary" else []
    if not document:
        return document, headers
    value = _NULL if document.strip() == _NULL else document
    return _WRAPS[message_format](value), headers


def document_in(value: bytes | None) -> Any:
    """Return the document in a valid message of any of these formats; None if it has none (a tombstone)."""
    if not value:
        return None
    return _unwrapped(json.loads(gzip.decompress(value) if value.startswith(GZIP_HEADER[:2]) else value))


def _unwrapped(content: Any) -> Any:
    match content:
        case str():
            return _unwrapped(json.loads(content))
        case {"order_uid": _}:
            return content
        case {"after": inner, "op": _} | {"data": inner, "specversion": _} | {"payload": inner}:
            return _unwrapped(inner)
    return content
