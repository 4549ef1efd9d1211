"""The file of API keys."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from service.entities.errors import KeysRefused
from service.handler.http.keys import MAX_FILE_BYTES, MAX_KEY_LENGTH, MIN_KEY_LENGTH, KeyReloader, Keys, Scope, key_with

READS = frozenset({Scope.READ})
KEY = "k" * MIN_KEY_LENGTH
OTHER = "o" * MAX_KEY_LENGTH
GOOD = "g" * MIN_KEY_LENGTH


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def keys_of(path: Path, text: str) -> Keys:
    path.write_text(text)
    return Keys(path)


def test_each_line_is_a_key_with_its_scopes(path: Path) -> None:
    keys = keys_of(path, f"# the page\nread {KEY}\n\n  read,dead-letters   {OTHER}\r\n")
    assert keys.scopes(KEY) == READS
    assert keys.scopes(OTHER) == frozenset(Scope)


@pytest.mark.parametrize("presented", ["", KEY[1:], KEY + "k", KEY.upper(), f" {KEY}", "é" * MIN_KEY_LENGTH])
def test_nothing_else_is_a_key(path: Path, presented: str) -> None:
    assert keys_of(path, f"read {KEY}").scopes(presented) is None


MALFORMED = [
    (KEY, "expected scopes, a space, and a key"),
    (f"read {KEY} more", "expected scopes"),
    (f"read {KEY[1:]}", "a key must have 20 to 256"),
    (f"read {OTHER}x", "a key must have 20 to 256"),
    (f"read {KEY}é", "a key must have 20 to 256"),
    (f"read {KEY}\xff", "a key must have 20 to 256"),
    (f"write {KEY}", "unknown scope; use read or dead-letters"),
    (f"read,, {KEY}", "unknown scope; use read or dead-letters"),
]


@pytest.mark.parametrize(("line", "problem"), MALFORMED)
def test_a_malformed_line_costs_itself_alone_and_is_named_without_the_key(path: Path, line: str, problem: str) -> None:
    path.write_bytes(f"read {GOOD}\n{line}\nread,dead-letters {OTHER}".encode("latin-1"))
    keys = Keys(path)
    assert (keys.scopes(GOOD), keys.scopes(OTHER), len(keys)) == (READS, frozenset(Scope), 2)
    assert keys.scopes(KEY) is None
    (told,) = keys.problems
    assert told.startswith(f"line 2: {problem}")
    assert KEY not in told


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
def test_at_first_a_file_without_a_key_is_refused(path: Path, content: bytes, problem: str) -> None:
    path.write_bytes(content)
    with pytest.raises(KeysRefused) as refused:
        Keys(path)
    assert str(refused.value).startswith(problem)
    assert KEY not in str(refused.value)


def test_a_file_that_is_not_there_or_no_file_is_refused(path: Path) -> None:
    with pytest.raises(KeysRefused, match=r"cannot be read: No such file"):
        Keys(path)
    os.mkfifo(path)
    with pytest.raises(KeysRefused, match="is not a regular file"):
        Keys(path)
    with pytest.raises(KeysRefused, match="Is a directory"):
        Keys(path.parent)


def test_what_editors_leave_changes_nothing(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbfread " + KEY.encode() + b"\r\n  # caf\xe9\r\n")
    assert (Keys(path).scopes(KEY), Keys(path).problems) == (READS, ())


def test_a_command_of_ours_takes_the_first_key_that_has_the_scope(path: Path) -> None:
    path.write_text(f"# ours\nmalformed\ndead-letters {OTHER}\nread {KEY}\n")
    assert key_with(path, Scope.READ) == KEY
    path.write_text(f"dead-letters {OTHER}\n")
    with pytest.raises(KeysRefused, match="contains no key with the scope read"):
        key_with(path, Scope.READ)


def test_keys_are_exchanged_while_it_runs(path: Path) -> None:
    renewal = KeyReloader(keys := keys_of(path, f"read {KEY}"), structlog.get_logger())
    assert not renewal.check()
    path.write_text(f"read {KEY}\nread {OTHER}")
    assert renewal.check()
    assert keys.scopes(KEY) == keys.scopes(OTHER) == READS
    path.write_text(f"read {OTHER}")
    assert renewal.check()
    assert keys.scopes(KEY) is None


@pytest.mark.parametrize("content", [b"", b"\n", b"# read " + KEY.encode(), b"read", b"\xff\0"])
def test_a_file_that_has_no_key_any_more_revokes_them_all_at_once(path: Path, content: bytes) -> None:
    renewal = KeyReloader(keys := keys_of(path, f"read {KEY}"), structlog.get_logger())
    path.write_bytes(content)
    assert renewal.check()
    assert (len(keys), keys.scopes(KEY), len(keys.problems)) == (0, None, 1)
    path.write_text(f"read {KEY}")
    assert renewal.check()
    assert (keys.scopes(KEY), keys.problems) == (READS, ())


def missing(path: Path) -> None:
    path.unlink()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def too_large(path: Path) -> None:
    path.write_bytes(f"read {KEY}\n".encode() + b"#" * MAX_FILE_BYTES)


@pytest.mark.parametrize("spoil", [missing, folder, too_large])
def test_a_file_that_stays_unreadable_revokes_all_keys_and_one_that_comes_back_none(
    path: Path, spoil: Callable[[Path], None]
) -> None:
    content = f"read {KEY}"
    renewal = KeyReloader(keys := keys_of(path, content), structlog.get_logger())
    for _ in range(3):  # each time a moment in which it is being replaced
        spoil(path)
        assert not renewal.check()
        assert (keys.scopes(KEY), len(keys.problems)) == (READS, 1)
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
        path.write_text(content)
        assert not renewal.check()
        assert keys.problems == ()
    spoil(path)
    assert [renewal.check() for _ in range(3)] == [False, True, False]
    assert (len(keys), keys.scopes(KEY), len(keys.problems)) == (0, None, 1)
    path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
    path.write_text(content)
    assert renewal.check()
    assert keys.scopes(KEY) == READS


def test_each_state_of_a_bad_file_is_logged_once_and_without_keys(path: Path) -> None:
    renewal = KeyReloader(keys_of(path, f"read {KEY}\nread"), structlog.get_logger())
    with capture_logs() as logs:
        renewal.check()
        renewal.check()
        path.unlink()
        for _ in range(4):
            renewal.check()
        path.write_text("reads\n" * 1_000)
        renewal.check()
    assert [log["keys"] for log in logs] == [1, 1, 0, 0]
    assert [len(log["problems"]) for log in logs] == [1, 1, 1, 5]
    assert "No such file" in logs[1]["problems"][0]
    assert KEY not in str(logs)


def test_a_comment_changes_no_key(path: Path) -> None:
    renewal = KeyReloader(keys_of(path, f"read {KEY}"), structlog.get_logger())
    path.write_text(f"# one\nread {KEY}")
    assert not renewal.check()
