"""The top-level fields of a JSON object that contains a document."""

from collections.abc import Mapping
from typing import Final

from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder

Envelope = Mapping[str, bytes]
"""The JSON text of the fields in `_Fields` that an object has."""

NULL: Final = b"null"
_ABSENT: Final = Raw()


class _Fields(Struct):
    """The fields by which envelopes are recognized, and those that are read."""

    order_uid: Raw = _ABSENT
    specversion: Raw = _ABSENT
    datacontenttype: Raw = _ABSENT
    data: Raw = _ABSENT
    data_base64: Raw = _ABSENT
    schema: Raw = _ABSENT
    payload: Raw = _ABSENT
    op: Raw = _ABSENT
    before: Raw = _ABSENT
    after: Raw = _ABSENT


_decode: Final = Decoder(_Fields).decode
_decode_text: Final = Decoder(str).decode


def read_envelope(text: bytes) -> Envelope:
    """Return the fields of a JSON object; none for an order, other JSON, and malformed JSON.

    An object with an `order_uid` is an order, even if it also has fields of an envelope.
    """
    found = _read_fields(text)
    return {} if "order_uid" in found else found


def is_order(text: bytes) -> bool:
    return "order_uid" in _read_fields(text)


def _read_fields(text: bytes) -> Envelope:
    try:
        fields = _decode(text)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return {name: bytes(raw) for name in _Fields.__struct_fields__ if (raw := getattr(fields, name))}


def read_text(text: bytes) -> str | None:
    """Return the text in a JSON string; None for other JSON."""
    try:
        return _decode_text(text)
    except (DecodeError, UnicodeDecodeError):
        return None


def unquoted(text: bytes) -> bytes:
    """Return the JSON object that `text` contains as a string; other JSON stays as it is."""
    if not text.startswith(b'"'):
        return text
    inner = read_text(text)
    return inner.encode() if inner and inner.lstrip().startswith("{") else text
