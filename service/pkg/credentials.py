"""Passwords in files, and tokens of functions: secrets that change while the process runs.

Errors name neither the file nor the secret. Their text continues the name of a setting, as in `SETTING is empty`.
"""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from time import time
from typing import Any, Final, NamedTuple

from service.errors import SecretUnavailable
from service.pkg.run_with_timeout import run_with_timeout

CALLBACK_TIMEOUT_SECONDS: Final = 10.0
_MAX_LIFETIME_SECONDS: Final = 366 * 86_400
"""An expiry after this time is likely to be in milliseconds."""
_MAX_PASSWORD_BYTES: Final = 2**16


class Token(NamedTuple):
    text: str
    expires_at: float
    """Unix seconds."""
    details: tuple[Any, ...] = ()
    """What the function has returned in addition."""


def read_password(path: Path) -> str:
    """Return the file's only line, without the spaces around it. Raises SecretUnavailable."""
    password = read_regular_file(path, _MAX_PASSWORD_BYTES).decode(errors="replace").strip()
    if not password:
        raise SecretUnavailable("is empty")
    if not password.isprintable() or "\N{REPLACEMENT CHARACTER}" in password:
        raise SecretUnavailable("is not one line of UTF-8 text")
    return password


def read_regular_file(path: Path, max_bytes: int) -> bytes:
    """Return the content. Raises SecretUnavailable."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:  # a FIFO must not block
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise SecretUnavailable("is not a regular file")
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise SecretUnavailable(f"cannot be read: {error.strerror}") from None
    if len(content) > max_bytes:
        raise SecretUnavailable(f"is larger than {max_bytes} bytes")
    return content


def fetch_token(callback: Callable[[Any], Any], argument: object, now: Callable[[], float] = time) -> Token:
    """Return the token that `callback(argument)` returns as a tuple, for at most CALLBACK_TIMEOUT_SECONDS.

    Raises SecretUnavailable.
    """
    try:
        text, expires_at, *details = run_with_timeout(CALLBACK_TIMEOUT_SECONDS, lambda: callback(argument))
        token = Token(text, float(expires_at), tuple(details))
    except Exception as error:  # noqa: BLE001 - it may raise anything, with the token in its text
        raise SecretUnavailable(f"failed with {type(error).__name__}") from None
    if not isinstance(text, str) or not text:
        raise SecretUnavailable("has not returned a token as text")
    if not 0 < token.expires_at - now() < _MAX_LIFETIME_SECONDS:
        raise SecretUnavailable("has returned an expiry that is not in the next year: it must be in Unix seconds")
    return token
