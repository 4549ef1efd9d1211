"""Decompresses gzip with bounded memory and time."""

import zlib
from enum import Enum
from typing import Final

_MAGIC: Final = b"\x1f\x8b"
_WINDOW: Final = 16 + zlib.MAX_WBITS
"""Largest window, with a header and trailer of gzip."""
_MAX_MEMBERS: Final = 64
"""Each one costs a copy of the rest. Compressors write one, and one more for each appended file."""


class GzipProblem(Enum):
    """Why not everything was decompressed."""

    MALFORMED = "malformed gzip"
    INCOMPLETE = "incomplete gzip"
    TOO_LARGE = "too large when decompressed"


def is_gzip(value: bytes) -> bool:
    return value.startswith(_MAGIC)


def gunzip(value: bytes, max_bytes: int) -> tuple[bytes, GzipProblem | None]:
    """Return the first `max_bytes` of what can be decompressed, and why that is not everything."""
    content, rest = b"", value
    for _ in range(_MAX_MEMBERS):
        if not is_gzip(rest):
            return content, GzipProblem.MALFORMED
        member, room = zlib.decompressobj(_WINDOW), max_bytes - len(content)
        try:
            part = member.decompress(rest, room + 1)
        except zlib.error:
            return content, GzipProblem.MALFORMED
        content += part[:room]
        if len(part) > room:
            return content, GzipProblem.TOO_LARGE
        if not member.eof:
            return content, GzipProblem.INCOMPLETE
        rest = member.unused_data
        if not rest:
            return content, None
    return content, GzipProblem.MALFORMED
