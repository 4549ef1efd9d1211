"""The file of API keys."""

from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from service.entities.errors import KeysRefused
from service.handler.http.keys import MAX_FILE_BYTES, MAX_LENGTH, MIN_LENGTH, Keys, Renewal, Scope, key_with

READS = frozenset({Scope.READ})
KEY = "k" * MIN_LENGTH
OTHER = "o" * MAX_LENGTH


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


@pytest.mark.parametrize("presented", ["", KEY[1:], KEY + "k", KEY.upper(), f" {KEY}", "é" * MIN_LENGTH])
def test_nothing_else_is_a_key(path: Path, presented: str) -> None:
    assert keys_of(path, f"read {KEY}").scopes(presented) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "has no key"),
        ("# nothing\n\n", "has no key"),
        (f"read {KEY}\n{KEY}", "line 2: should be scopes, a blank, and a key"),
        (f"read {KEY} more", "line 1: should be scopes"),
        (f"read {KEY[1:]}", "line 1: a key has 20 to 256"),
        (f"read {OTHER}x", "line 1: a key has 20 to 256"),
        (f"read {KEY}é", "line 1: a key has 20 to 256"),
        (f"write {KEY}", "line 1: scopes are read and dead-letters"),
        (f"read,, {KEY}", "line 1: scopes are read and dead-letters"),
        ("#" * (MAX_FILE_BYTES + 1), "has more than 262144 bytes"),
    ],
)
def test_a_file_that_cant_be_used_is_refused_with_the_line_and_without_the_key(
    path: Path, text: str, problem: str
) -> None:
    with pytest.raises(KeysRefused) as refused:
        keys_of(path, text)
    assert str(refused.value).startswith(problem)
    assert KEY not in str(refused.value)


def test_a_file_that_is_not_there_or_is_no_text_is_refused(path: Path) -> None:
    with pytest.raises(KeysRefused, match=r"can't be read \(No such file"):
        Keys(path)
    path.write_bytes(b"read \xff")
    with pytest.raises(KeysRefused, match="is not UTF-8 text"):
        Keys(path)


def test_a_command_of_ours_takes_the_first_key_that_has_the_scope(path: Path) -> None:
    path.write_text(f"# ours\ndead-letters {OTHER}\nread {KEY}\n")
    assert key_with(path, Scope.READ) == KEY
    path.write_text(f"dead-letters {OTHER}\n")
    with pytest.raises(KeysRefused, match="has no key with the scope read"):
        key_with(path, Scope.READ)


def test_keys_are_exchanged_while_it_runs(path: Path) -> None:
    renewal = Renewal(keys := keys_of(path, f"read {KEY}"), structlog.get_logger())
    assert not renewal.look()
    path.write_text(f"read {KEY}\nread {OTHER}")
    assert renewal.look()
    assert keys.scopes(KEY) == keys.scopes(OTHER) == READS
    path.write_text(f"read {OTHER}")
    assert renewal.look()
    assert keys.scopes(KEY) is None


def test_a_file_that_can_no_longer_be_used_is_said_once_and_locks_nobody_out(path: Path) -> None:
    renewal = Renewal(keys := keys_of(path, f"read {KEY}"), structlog.get_logger())
    path.write_text("read")
    with capture_logs() as logs:
        assert not any(renewal.look() for _ in range(3))
    assert [log["problem"] for log in logs] == ["line 1: should be scopes, a blank, and a key"]
    assert keys.scopes(KEY) == READS
    path.write_text(f"read {KEY}")
    assert not renewal.look()
    path.unlink()
    with capture_logs() as logs:
        assert not renewal.look()
    assert "No such file" in logs[0]["problem"]
