"""What a baseline serves: a file of order documents, one in each line."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct


class _Identified(Struct):
    order_uid: str


def documents(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the id of each document, and its bytes."""
    for line in path.read_bytes().splitlines():
        yield msgspec.json.decode(line, type=_Identified).order_uid, line
