from collections.abc import Iterator
from pathlib import Path

import pytest

from service.pkg.new_file import write_new_file


def test_the_chunks_are_written_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert write_new_file(path, [b"a", b"", b"bc"]) == 3
    assert path.read_bytes() == b"abc"


def test_only_the_owner_can_read_the_file(tmp_path: Path) -> None:
    write_new_file(tmp_path / "file", [b"personal data"])
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with pytest.raises(FileExistsError):
        write_new_file(path, [b"after"])
    assert path.read_bytes() == b"before"


@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()])
def test_after_an_error_there_is_no_file(tmp_path: Path, error: BaseException) -> None:
    def interrupted() -> Iterator[bytes]:
        yield b"a"
        raise error

    with pytest.raises(type(error)):
        write_new_file(tmp_path / "file", interrupted())
    assert [*tmp_path.iterdir()] == []
