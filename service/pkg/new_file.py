"""Writes a new file that is complete on disk, or does not exist."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def write_new_file(path: Path, chunks: Iterable[bytes]) -> int:
    """Write the chunks with mode 600 and sync the file; return their number. Raises FileExistsError, OSError."""
    count = 0
    with _new_file(path) as file:
        for chunk in chunks:
            file.write(chunk)
            count += 1
    return count


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """Create a file. It is synced to disk at the end of the block, and removed on an error."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        _sync_directory(path.parent)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _sync_directory(path: Path) -> None:
    """Sync the directory entry of a new file."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
