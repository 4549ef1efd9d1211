"""The bytes of a value before any format: compression and character encoding."""

from codecs import BOM_UTF8
from typing import Final

from service.entities.dead_letter import Reason, Violation
from service.errors import DocumentRejected
from service.handler.kafka.registry.reader import undecodable
from service.pkg.gunzip import GzipProblem, gunzip, is_gzip

_JSON_NULL: Final = b"null"
_JSON_WHITESPACE: Final = b" \t\n\r"
_OTHER_ENCODINGS: Final = (
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"{\0\0\0", "UTF-32"),
    (b'\0\0\0{\0\0\0"', "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
    (b"{\0", "UTF-16"),
    (b'\0{\0"', "UTF-16"),
)
"""How byte order marks, and objects without one, begin. UTF-32 is first: its little-endian mark begins like UTF-16's.

Big-endian text without a mark begins like Confluent's wire format, and so more of it is compared.
"""
_OTHER_STARTS: Final = tuple(start for start, _ in _OTHER_ENCODINGS)

_OTHER_COMPRESSION: Final = ((b"\x28\xb5\x2f\xfd", "zstd"), (b"\x04\x22\x4d\x18", "lz4"))
_OTHER_COMPRESSION_STARTS: Final = tuple(start for start, _ in _OTHER_COMPRESSION)


def decompressed(value: bytes, max_bytes: int) -> bytes:
    """Decompress gzip, with at most `max_bytes` of output in memory; other values stay as they are.

    Raises DocumentRejected.
    """
    if value.startswith(_OTHER_COMPRESSION_STARTS):
        compression = next(name for start, name in _OTHER_COMPRESSION if value.startswith(start))
        raise undecodable(f"{compression} is not supported: send gzip, or set compression.type of the producer")
    if not is_gzip(value):
        return value
    content, problem = gunzip(value, max_bytes)
    if problem is GzipProblem.TOO_LARGE:
        raise DocumentRejected(Reason.TOO_LARGE, [Violation("", f"larger than {max_bytes} bytes when decompressed")])
    if problem is not None:
        raise undecodable(problem.value)
    return content


def utf8(value: bytes) -> bytes:
    """Remove a byte order mark of UTF-8. Raises DocumentRejected for UTF-16 and UTF-32."""
    if value.startswith(BOM_UTF8):
        return value[len(BOM_UTF8) :]
    if value.startswith(_OTHER_STARTS):
        encoding = next(name for start, name in _OTHER_ENCODINGS if value.startswith(start))
        raise undecodable(f"{encoding} is not supported: send UTF-8")
    return value


def is_tombstone(value: bytes) -> bool:
    """Return whether there is no document: an empty value, or the JSON text `null` that serializers write."""
    return not value or value.strip(_JSON_WHITESPACE) == _JSON_NULL
