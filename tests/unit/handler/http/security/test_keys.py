"""The file of API keys."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from service.errors import InvalidKeysFile
from service.handler.http.security.keys import (
    MAX_FILE_BYTES,
    MAX_KEY_LENGTH,
    MIN_KEY_LENGTH,
    KeyReloader,
    Keys,
    KeyScope,
    key_with,
)

READS = frozenset({KeyScope.READ})
READS_ALL = READS | {KeyScope.DEAD_LETTERS}
KEY = "k" * MIN_KEY_LENGTH
OTHER = "o" * MAX_KEY_LENGTH
GOOD = "g" * MIN_KEY_LENGTH


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def keys_of(path: Path, text: str) -> Keys:
    path.write_text(text)
    return Keys.load(path)


def scopes_of(keys: Keys, key: str) -> frozenset[KeyScope] | None:
    holder = keys.holder(key)
    return holder and holder.scopes


def test_each_line_has_a_key_and_its_scopes(path: Path) -> None:
    keys = keys_of(path, f"# the page\nread {KEY}\n\n  read,dead-letters   {OTHER}\r\n")
    assert scopes_of(keys, KEY) == READS
    assert scopes_of(keys, OTHER) == READS_ALL


@pytest.mark.parametrize("key", ["", KEY[1:], KEY + "k", KEY.upper(), f" {KEY}", "é" * MIN_KEY_LENGTH])
def test_a_key_that_is_not_listed_has_no_scopes(path: Path, key: str) -> None:
    assert scopes_of(keys_of(path, f"read {KEY}"), key) is None


def test_a_line_may_name_the_holder_of_its_key(path: Path) -> None:
    keys = keys_of(path, f"support.desk-1 read,replay {KEY}\nread {OTHER}")
    assert keys.holder(KEY) == ("support.desk-1", READS | {KeyScope.REPLAY})
    assert keys.holder(OTHER) == ("", READS)


MALFORMED = [
    (KEY, "expected scopes and a key, or a name, scopes and a key"),
    (f"read {KEY} more", "a name must have 1 to 64"),
    (f"desk {KEY} more", "a key must have 20 to 256"),
    (f"desk read {KEY} more", "expected scopes"),
    (f"read dead-letters {KEY}", "a name must have 1 to 64 letters, digits or ._- and must not be a scope"),
    (f"{'n' * 65} read {KEY}", "a name must have 1 to 64"),
    (f"d\xe9sk read {KEY}", "a name must have 1 to 64"),
    (f"replay {KEY}", "a key with the scope replay must have a name"),
    (f"read {KEY[1:]}", "a key must have 20 to 256"),
    (f"read {OTHER}x", "a key must have 20 to 256"),
    (f"read {KEY}é", "a key must have 20 to 256"),
    (f"read {KEY}\xff", "a key must have 20 to 256"),
    (f"write {KEY}", "unknown scope, expected read or dead-letters or replay"),
    (f"read,, {KEY}", "unknown scope, expected read or dead-letters or replay"),
]


@pytest.mark.parametrize(("line", "problem"), MALFORMED)
def test_a_malformed_line_is_ignored_and_reported_without_the_key(path: Path, line: str, problem: str) -> None:
    path.write_bytes(f"read {GOOD}\n{line}\nread,dead-letters {OTHER}".encode("latin-1"))
    keys = Keys.load(path)
    assert (scopes_of(keys, GOOD), scopes_of(keys, OTHER), len(keys)) == (READS, READS_ALL, 2)
    assert scopes_of(keys, KEY) is None
    (problem_text,) = keys.problems
    assert problem_text.startswith(f"line 2: {problem}")
    assert KEY not in problem_text


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "contains no keys"),
        (b"# nothing\n\n", "contains no keys"),
        *((line.encode("latin-1"), f"line 1: {problem}") for line, problem in MALFORMED),
        (b"\0\xff" * 100, "line 1: expected scopes"),
        (b"#" * (MAX_FILE_BYTES + 1), "is larger than 262144 bytes"),
    ],
)
def test_at_start_a_file_without_keys_is_refused(path: Path, content: bytes, problem: str) -> None:
    path.write_bytes(content)
    with pytest.raises(InvalidKeysFile) as refused:
        Keys.load(path)
    assert str(refused.value).startswith(problem)
    assert KEY not in str(refused.value)


def test_before_the_file_is_loaded_every_key_is_unknown(path: Path) -> None:
    path.write_text(f"read {KEY}")
    assert scopes_of(Keys(path), KEY) is None


def test_at_start_a_missing_or_irregular_file_is_refused(path: Path) -> None:
    with pytest.raises(InvalidKeysFile, match=r"cannot be read: No such file"):
        Keys.load(path)
    os.mkfifo(path)
    with pytest.raises(InvalidKeysFile, match="is not a regular file"):
        Keys.load(path)
    with pytest.raises(InvalidKeysFile, match="Is a directory"):
        Keys.load(path.parent)


def test_a_byte_order_mark_and_crlf_are_ignored(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbfread " + KEY.encode() + b"\r\n  # caf\xe9\r\n")
    assert (scopes_of(Keys.load(path), KEY), Keys.load(path).problems) == (READS, ())


def test_key_with_returns_the_first_key_with_the_scope(path: Path) -> None:
    path.write_text(f"# comment\nmalformed\ndead-letters {OTHER}\nread {KEY}\n")
    assert key_with(path, KeyScope.READ) == KEY
    path.write_text(f"dead-letters {OTHER}\n")
    with pytest.raises(InvalidKeysFile, match="contains no key with the scope read"):
        key_with(path, KeyScope.READ)


def test_keys_are_rotated_without_a_restart(path: Path) -> None:
    reloader = KeyReloader(keys := keys_of(path, f"read {KEY}"), structlog.get_logger())
    assert not reloader.check()
    path.write_text(f"read {KEY}\nread {OTHER}")
    assert reloader.check()
    assert scopes_of(keys, KEY) == scopes_of(keys, OTHER) == READS
    path.write_text(f"read {OTHER}")
    assert reloader.check()
    assert scopes_of(keys, KEY) is None


@pytest.mark.parametrize("content", [b"", b"\n", b"# read " + KEY.encode(), b"read", b"\xff\0"])
def test_a_file_without_keys_revokes_all_keys_at_once(path: Path, content: bytes) -> None:
    reloader = KeyReloader(keys := keys_of(path, f"read {KEY}"), structlog.get_logger())
    path.write_bytes(content)
    assert reloader.check()
    assert (len(keys), scopes_of(keys, KEY), len(keys.problems)) == (0, None, 1)
    path.write_text(f"read {KEY}")
    assert reloader.check()
    assert (scopes_of(keys, KEY), keys.problems) == (READS, ())


def missing(path: Path) -> None:
    path.unlink()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def too_large(path: Path) -> None:
    path.write_bytes(f"read {KEY}\n".encode() + b"#" * MAX_FILE_BYTES)


@pytest.mark.parametrize("break_file", [missing, folder, too_large])
def test_a_file_that_stays_unreadable_revokes_all_keys_and_a_replaced_one_none(
    path: Path, break_file: Callable[[Path], None]
) -> None:
    content = f"read {KEY}"
    reloader = KeyReloader(keys := keys_of(path, content), structlog.get_logger())
    for _ in range(3):  # unreadable once, as during a replacement
        break_file(path)
        assert not reloader.check()
        assert (scopes_of(keys, KEY), len(keys.problems)) == (READS, 1)
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
        path.write_text(content)
        assert not reloader.check()
        assert keys.problems == ()
    break_file(path)
    assert [reloader.check() for _ in range(3)] == [False, True, False]
    assert (len(keys), scopes_of(keys, KEY), len(keys.problems)) == (0, None, 1)
    path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
    path.write_text(content)
    assert reloader.check()
    assert scopes_of(keys, KEY) == READS


def test_each_error_of_the_file_is_logged_once_without_keys(path: Path) -> None:
    reloader = KeyReloader(keys_of(path, f"read {KEY}\nread"), structlog.get_logger())
    with capture_logs() as logs:
        reloader.check()
        reloader.check()
        path.unlink()
        for _ in range(4):
            reloader.check()
        path.write_text("reads\n" * 1_000)
        reloader.check()
    assert [log["keys"] for log in logs] == [1, 1, 0, 0]
    assert [len(log["problems"]) for log in logs] == [1, 1, 1, 5]
    assert "No such file" in logs[1]["problems"][0]
    assert KEY not in str(logs)


def test_a_changed_comment_does_not_count_as_a_change(path: Path) -> None:
    reloader = KeyReloader(keys_of(path, f"read {KEY}"), structlog.get_logger())
    path.write_text(f"# one\nread {KEY}")
    assert not reloader.check()
