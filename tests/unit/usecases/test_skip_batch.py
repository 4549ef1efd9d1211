"""A batch is committed only after all of its messages are on disk."""

from pathlib import Path

import pytest

from service.errors import BatchNotSkipped, KafkaRequestFailed
from service.usecases.ports.operations import UnreadableRecordBatch
from service.usecases.skip_batch import preview, skip
from tests.kit.fakes import FakeRecordBatchSource

BATCH = UnreadableRecordBatch(1, 10, 13)


def test_the_messages_are_saved_and_the_offset_after_them_is_committed(tmp_path: Path) -> None:
    source, path = FakeRecordBatchSource(BATCH, 3), tmp_path / "saved"
    assert skip(source, partition=1, offset=10, path=path) == (BATCH, 3)
    assert path.read_bytes() == b'{"offset":10}\n{"offset":11}\n{"offset":12}\n'
    assert path.stat().st_mode & 0o777 == 0o600
    assert source.committed == [BATCH]


def test_a_preview_changes_nothing() -> None:
    source = FakeRecordBatchSource(BATCH, 3)
    assert preview(source, partition=1, offset=10) == (BATCH, 3)
    assert source.committed == []


def test_a_batch_with_missing_messages_is_not_committed(tmp_path: Path) -> None:
    source = FakeRecordBatchSource(BATCH, 2)
    with pytest.raises(BatchNotSkipped, match="only 2 messages were read"):
        skip(source, partition=1, offset=10, path=tmp_path / "saved")
    assert source.committed == []


def test_a_batch_is_named_by_its_first_and_its_last_offset() -> None:
    assert str(BATCH) == "partition 1, offsets 10 to 12"


def test_a_batch_of_a_compacted_topic_may_have_gaps(tmp_path: Path) -> None:
    source = FakeRecordBatchSource(BATCH, 2, is_compacted=True)
    assert skip(source, partition=1, offset=10, path=tmp_path / "saved") == (BATCH, 2)
    assert source.committed == [BATCH]


def test_an_error_while_reading_leaves_no_file(tmp_path: Path) -> None:
    source, path = (
        FakeRecordBatchSource(BATCH, 3, error=KafkaRequestFailed("the batch cannot be decompressed")),
        tmp_path / "saved",
    )
    with pytest.raises(KafkaRequestFailed, match="decompressed"):
        skip(source, partition=1, offset=10, path=path)
    assert not path.exists()
    assert source.committed == []


def test_a_file_that_cannot_be_written_is_named_with_the_reason(tmp_path: Path) -> None:
    source, path = FakeRecordBatchSource(BATCH, 3), tmp_path / "missing" / "saved"
    with pytest.raises(BatchNotSkipped, match=f"^cannot write {path}: No such file or directory$"):
        skip(source, partition=1, offset=10, path=path)
    assert source.committed == []


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    source, path = FakeRecordBatchSource(BATCH, 3), tmp_path / "saved"
    path.write_bytes(b"before")
    with pytest.raises(BatchNotSkipped, match="file exists"):
        skip(source, partition=1, offset=10, path=path)
    assert path.read_bytes() == b"before"
    assert source.committed == []
