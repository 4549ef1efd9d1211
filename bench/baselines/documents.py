"""The documents that a baseline serves, from a file with one document per line."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct


class _Identified(Struct):
    order_uid: str


def documents(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the uid and the bytes of each document."""
    for line in path.read_bytes().splitlines():
        yield msgspec.json.decode(line, type=_Identified).order_uid, line
