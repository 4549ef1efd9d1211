"""Skips a batch that consumers cannot decompress: saves its messages to a file, then commits the offset after it."""

from collections.abc import Iterator
from pathlib import Path

from service.errors import BatchNotSkipped
from service.pkg.new_file import write_new_file
from service.usecases.ports.operations import RecordBatchSource, UnreadableRecordBatch


def preview(source: RecordBatchSource, *, partition: int, offset: int) -> tuple[UnreadableRecordBatch, int]:
    """Return the batch and the number of its messages. Raises what RecordBatchSource raises."""
    batch = source.find(partition, offset)
    return batch, sum(1 for _ in source.lines(batch))


def skip(source: RecordBatchSource, *, partition: int, offset: int, path: Path) -> tuple[UnreadableRecordBatch, int]:
    """Save the batch to a new file and commit; return the batch and the number of its messages.

    Raises BatchNotSkipped, and what RecordBatchSource raises.
    """
    batch = source.find(partition, offset)
    count = _save(path, source.lines(batch))
    if count < batch.end - batch.begin and not source.is_compacted():
        raise BatchNotSkipped(f"{batch}: only {count:,} messages were read and saved to {path}")
    source.commit(batch)
    return batch, count


def _save(path: Path, lines: Iterator[bytes]) -> int:
    try:
        return write_new_file(path, lines)
    except FileExistsError:
        raise BatchNotSkipped(f"cannot write {path}: file exists; choose a new file") from None
    except OSError as error:
        raise BatchNotSkipped(f"cannot write {path}: {error.strerror}") from None
