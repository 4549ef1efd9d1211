"""Skips a batch that consumers cannot decompress: saves its messages to a file, then commits the offset after it."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from service.errors import CommandError
from service.pkg.new_file import write_new_file


class UnreadableBatch(NamedTuple):
    """The unread offsets of one batch, from `begin` up to but excluding `end`."""

    partition: int
    begin: int
    end: int

    def __str__(self) -> str:
        return f"partition {self.partition}, offsets {self.begin} to {self.end - 1}"


class BatchSource(Protocol):
    """The order topic. Every method may block for seconds, and raises CommandError."""

    def find(self, partition: int, offset: int) -> UnreadableBatch:
        """Return the batch that blocks the group. Raises CommandError if no batch or another one does."""

    def lines(self, batch: UnreadableBatch) -> Iterator[bytes]:
        """Yield the messages of the batch, each as a line of JSON."""

    def is_compacted(self) -> bool:
        """Return whether messages of a batch may be missing because the topic is compacted."""

    def commit(self, batch: UnreadableBatch) -> None:
        """Commit the offset after the batch for the group."""


def preview(source: BatchSource, partition: int, offset: int) -> tuple[UnreadableBatch, int]:
    """Return the batch and the number of its messages. Raises CommandError."""
    batch = source.find(partition, offset)
    return batch, sum(1 for _ in source.lines(batch))


def skip(source: BatchSource, partition: int, offset: int, path: Path) -> tuple[UnreadableBatch, int]:
    """Save the batch to a new file and commit; return the batch and the number of its messages. Raises CommandError."""
    batch = source.find(partition, offset)
    count = _save(path, source.lines(batch))
    if count < batch.end - batch.begin and not source.is_compacted():
        raise CommandError(f"{batch}: only {count:,} messages were read and saved to {path}; nothing was skipped")
    source.commit(batch)
    return batch, count


def _save(path: Path, lines: Iterator[bytes]) -> int:
    try:
        return write_new_file(path, lines)
    except FileExistsError:
        raise CommandError(f"cannot write {path}: file exists; choose a new file") from None
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror}; nothing was skipped") from None
