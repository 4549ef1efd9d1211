"""Passwords in files, and tokens of functions."""

import os
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from service.errors import SecretUnavailable
from service.pkg import credentials
from service.pkg.credentials import Token, fetch_token, read_password

SECRET = "hunter2-and-more"  # noqa: S105
NOW = 1_800_000_000.0
NOT_NEXT_YEAR = "has returned an expiry that is not in the next year: it must be in Unix seconds"


def problem_of(path: Path) -> str:
    with pytest.raises(SecretUnavailable) as raised:
        read_password(path)
    assert SECRET not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("content", [SECRET, f"{SECRET}\n", f" {SECRET}\r\n"])
def test_a_password_file_has_one_line(tmp_path: Path, content: str) -> None:
    (file := tmp_path / "password").write_text(content)
    assert read_password(file) == SECRET


def test_a_password_may_have_65536_bytes(tmp_path: Path) -> None:
    (file := tmp_path / "password").write_text("x" * 65_536)
    assert read_password(file) == "x" * 65_536


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (f"{SECRET}\nmore".encode(), "is not one line of UTF-8 text"),
        (f"{SECRET}\0".encode(), "is not one line of UTF-8 text"),
        (SECRET.encode() + b"\xff", "is not one line of UTF-8 text"),
        (b"x" * 65_537, "is larger than 65536 bytes"),
    ],
)
def test_another_content_is_refused_without_showing_it(tmp_path: Path, content: bytes, problem: str) -> None:
    (file := tmp_path / "password").write_bytes(content)
    assert problem_of(file) == problem


def test_a_missing_or_irregular_file_is_refused(tmp_path: Path) -> None:
    assert problem_of(tmp_path / "none") == "cannot be read: No such file or directory"
    os.mkfifo(tmp_path / "fifo")
    assert problem_of(tmp_path / "fifo") == "is not a regular file"


@pytest.mark.parametrize("seconds", [0.5, 900, 366 * 86_400 - 1])
def test_a_callback_returns_a_token_its_expiry_and_details(seconds: float) -> None:
    token = fetch_token(lambda argument: (f"token of {argument}", NOW + seconds, "me"), "orders", lambda: NOW)
    assert token == Token("token of orders", NOW + seconds, ("me",))


def raising(_: Any) -> Any:
    raise RuntimeError(SECRET)


@pytest.mark.parametrize(
    ("callback", "problem"),
    [
        (raising, "failed with RuntimeError"),
        (lambda _: None, "failed with TypeError"),
        (lambda _: (SECRET,), "failed with ValueError"),
        (lambda _: (SECRET, "soon"), "failed with ValueError"),
        (lambda _: (SECRET.encode(), NOW + 900), "has not returned a token as text"),
        (lambda _: ("", NOW + 900), "has not returned a token as text"),
        (lambda _: (SECRET, NOW), NOT_NEXT_YEAR),
        (lambda _: (SECRET, NOW + 366 * 86_400), NOT_NEXT_YEAR),
        (lambda _: (SECRET, (NOW + 900) * 1_000), NOT_NEXT_YEAR),
    ],
)
def test_a_callback_that_fails_is_reported_without_the_token(callback: Any, problem: str) -> None:
    with pytest.raises(SecretUnavailable) as raised:
        fetch_token(callback, {}, lambda: NOW)
    assert str(raised.value) == problem
    assert raised.value.__context__ is None or raised.value.__suppress_context__


def test_a_callback_that_hangs_is_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "CALLBACK_TIMEOUT_SECONDS", 0.05)
    released = Event()
    with pytest.raises(SecretUnavailable, match=r"^failed with TimeoutError$"):
        fetch_token(lambda _: released.wait(60), {})
    released.set()
