"""Stores an ETag in front of its body, in one bytes object, because the garbage collector does not track bytes."""

from hashlib import blake2b
from typing import Final

_DIGEST_BYTES: Final = 16
ETAG_BYTES: Final = 2 * _DIGEST_BYTES


def with_etag(body: bytes) -> bytes:
    """Return the body after its hexadecimal hash. Equal bodies have equal ETags in every process."""
    return blake2b(body, digest_size=_DIGEST_BYTES).hexdigest().encode() + body


def split_etag(value: bytes) -> tuple[bytes, memoryview]:
    """Return the ETag and the body, without copying the body."""
    return value[:ETAG_BYTES], memoryview(value)[ETAG_BYTES:]
