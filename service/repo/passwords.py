"""Sources of a password that may change between two connections."""

from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from time import time
from typing import Final

import psycopg

from service.errors import SecretUnavailable
from service.pkg.credentials import Token, fetch_token, read_password

EXPIRY_MARGIN_SECONDS: Final = 30.0
"""How long before its expiry a token is replaced, because the server has another clock."""

Parameters = Mapping[str, str]
"""Connection parameters by their names in libpq, such as `host`, `port` and `user`."""
TokenCallback = Callable[[Parameters], tuple[str, float]]
"""Returns a token, and the time of its expiry in Unix seconds."""
PasswordSource = Callable[[Parameters], str]
"""Returns the password for a new connection. May block. Raises PasswordUnavailable."""


class PasswordUnavailable(psycopg.OperationalError):
    """The text is a phrase that names the setting, never a secret."""


class PasswordFile:
    """Reads the password from a file for each connection."""

    def __init__(self, path: Path, setting: str) -> None:
        self._path = path
        self._setting = setting

    def __call__(self, _: Parameters) -> str:
        try:
            return read_password(self._path)
        except SecretUnavailable as error:
            raise PasswordUnavailable(f"{self._setting} {error}") from None


class CachedToken:
    """Calls a function for a token, and caches it. Thread-safe. All calls must have the same parameters."""

    def __init__(self, callback: TokenCallback, setting: str, now: Callable[[], float] = time) -> None:
        self._callback = callback
        self._setting = setting
        self._now = now
        self._lock = Lock()
        self._token: Token | None = None

    def __call__(self, parameters: Parameters) -> str:
        with self._lock:
            if self._token is None or self._token.expires_at - EXPIRY_MARGIN_SECONDS <= self._now():
                self._token = self._fetch(parameters)
            return self._token.text

    def _fetch(self, parameters: Parameters) -> Token:
        try:
            return fetch_token(self._callback, parameters, self._now)
        except SecretUnavailable as error:
            raise PasswordUnavailable(f"{self._setting} {error}") from None
