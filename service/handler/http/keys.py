"""API keys: who may read what. Only digests of them are kept.

The file has a line for each key: its scopes with commas between them, a blank, the key. Empty lines and lines that
begin with `#` are passed over. All keys count at once, so that one is replaced without a moment in which none fits.
"""

import hmac
import re
from collections.abc import Iterator
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from structlog.typing import FilteringBoundLogger

from service.entities.errors import KeysRefused

MIN_LENGTH: Final = 20
MAX_LENGTH: Final = 256
MAX_FILE_BYTES: Final = 2**18

_KEY: Final = re.compile(rf"[A-Za-z0-9._~+/=-]{{{MIN_LENGTH},{MAX_LENGTH}}}")
"""What may follow `Bearer` (RFC 6750), long enough that nobody guesses it."""


class Scope(StrEnum):
    READ = "read"
    """Orders, their events, and the figures."""
    DEAD_LETTERS = "dead-letters"
    """What could not be stored, as it came."""


class _Key(NamedTuple):
    digest: bytes
    scopes: frozenset[Scope]


class Keys:
    """The keys of a file, as it was when it was last looked at. Raises KeysRefused where it can't be used at first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._text = _read(path)
        self._keys = _parsed(self._text)

    def scopes(self, presented: str) -> frozenset[Scope] | None:
        """Return what the key may; None where it is not one of ours. Takes as long whichever it is."""
        digest = sha256(presented.encode()).digest()
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.digest, digest):
                found = key.scopes
        return found

    def reload(self) -> bool:
        """Look at the file again; tell whether the keys are others now. Raises KeysRefused, and keeps those it has."""
        text = _read(self._path)
        if text == self._text:
            return False
        self._keys, self._text = _parsed(text), text
        return True


def key_with(path: Path, scope: Scope) -> str:
    """Return the first key of a file that has the scope. Raises KeysRefused where there is none."""
    for number, words in _words(_read(path)):
        if scope in _key(number, words).scopes:
            return words[1]
    raise KeysRefused(f"has no key with the scope {scope}")


class Renewal:
    """Applies the keys that the file has now.

    A file that can't be used is logged once, and the last good keys stay valid.
    """

    def __init__(self, keys: Keys, log: FilteringBoundLogger) -> None:
        self._keys = keys
        self._log = log
        self._problem = ""

    def look(self) -> bool:
        """Return whether the keys are others than before."""
        changed, problem = self._reloaded()
        if problem and problem != self._problem:
            self._log.error("the API keys can't be read anew: those read before still count", problem=problem)
        elif changed:
            self._log.info("the API keys were read anew")
        self._problem = problem
        return changed

    def _reloaded(self) -> tuple[bool, str]:
        try:
            return self._keys.reload(), ""
        except KeysRefused as error:
            return False, str(error)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise KeysRefused(f"has more than {MAX_FILE_BYTES} bytes")
        return content.decode()
    except UnicodeDecodeError:
        raise KeysRefused("is not UTF-8 text") from None
    except OSError as error:
        raise KeysRefused(f"can't be read ({error.strerror})") from None


def _parsed(text: str) -> tuple[_Key, ...]:
    keys = tuple(_key(*line) for line in _words(text))
    if not keys:
        raise KeysRefused("has no key")
    return keys


def _words(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the words of each line that is meant to be a key, and the line's number."""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.startswith("#"):
            yield number, line.split()


def _key(number: int, words: list[str]) -> _Key:
    """Return a line's key. Raises KeysRefused, which names the line and never what stands in it."""
    if len(words) != 2:  # noqa: PLR2004 - scopes and key
        raise KeysRefused(f"line {number}: should be scopes, a blank, and a key")
    scopes, key = words
    if not _KEY.fullmatch(key):
        raise KeysRefused(f"line {number}: a key has {MIN_LENGTH} to {MAX_LENGTH} letters, digits or ._~+/=-")
    try:
        return _Key(sha256(key.encode()).digest(), frozenset(map(Scope, scopes.split(","))))
    except ValueError:
        raise KeysRefused(f"line {number}: scopes are {' and '.join(Scope)}") from None
