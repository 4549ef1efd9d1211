"""API keys: who may read what. Only digests of them are kept.

The file has a line for each key: its scopes with commas between them, a blank, the key. Empty lines and lines that
begin with `#` are passed over. All keys count at once, so that one is replaced without a moment in which none fits.
A malformed line is left out and the others count. A file without a key, or one that stays unreadable, revokes all keys.
"""

import hmac
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from structlog.typing import FilteringBoundLogger

from service.entities.errors import KeysRefused

MIN_LENGTH: Final = 20
MAX_LENGTH: Final = 256
MAX_FILE_BYTES: Final = 2**18
MAX_READ_FAILURES: Final = 2
"""In a row: a file that is being replaced may be missing for a moment, and costs nobody a key."""
_LOGGED_PROBLEMS: Final = 5
_NO_KEY: Final = "has no key"

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
    """The keys of a file, as of the last `reload`. Raises KeysRefused where there is none at first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._content: str | None = None
        self._keys: tuple[_Key, ...] = ()
        self._read_failures = 0
        self.problems: tuple[str, ...] = ()
        """Why the file, or a line of it, does not count; never what stands there."""
        self._apply(_read(path))
        if not self._keys:
            raise KeysRefused(next(iter(self.problems)))

    def __len__(self) -> int:
        return len(self._keys)

    def scopes(self, presented: str) -> frozenset[Scope] | None:
        """Return what the key may; None where it is not one of ours. Takes as long whichever it is."""
        digest = sha256(presented.encode()).digest()
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.digest, digest):
                found = key.scopes
        return found

    def reload(self) -> bool:
        """Read the file again; return whether the keys have changed."""
        before = self._keys
        try:
            content = _read(self._path)
        except KeysRefused as error:
            self._fail(str(error))
        else:
            self._read_failures = 0
            if content != self._content:
                self._apply(content)
        return self._keys != before

    def _fail(self, problem: str) -> None:
        self._read_failures += 1
        self._content, self.problems = None, (problem,)
        if self._read_failures >= MAX_READ_FAILURES:
            self._keys = ()

    def _apply(self, content: str) -> None:
        keys, problems = list[_Key](), list[str]()
        for number, line in _lines(content):
            try:
                key, scopes = _parsed(number, line)
            except KeysRefused as error:
                problems.append(str(error))
            else:
                keys.append(_Key(sha256(key.encode()).digest(), scopes))
        if not keys and not problems:
            problems.append(_NO_KEY)
        self._content, self._keys, self.problems = content, tuple(keys), tuple(problems)


def key_with(path: Path, scope: Scope) -> str:
    """Return the first key of a file that has the scope. Raises KeysRefused where there is none."""
    for number, line in _lines(_read(path)):
        with suppress(KeysRefused):
            key, scopes = _parsed(number, line)
            if scope in scopes:
                return key
    raise KeysRefused(f"has no key with the scope {scope}")


class KeyReloader:
    """Applies the keys that the file has now, and logs each problem of the file once."""

    def __init__(self, keys: Keys, log: FilteringBoundLogger) -> None:
        self._keys = keys
        self._log = log
        self._problems: tuple[str, ...] = ()

    def check(self) -> bool:
        """Return whether the keys are others than before."""
        changed = self._keys.reload()
        problems = self._keys.problems
        if problems and (changed or problems != self._problems):
            shown = list(problems[:_LOGGED_PROBLEMS])
            self._log.error("the file of API keys has errors", problems=shown, keys=len(self._keys))
        elif changed:
            self._log.info("the API keys were read anew", keys=len(self._keys))
        self._problems = problems
        return changed


def _read(path: Path) -> str:
    """Return the text; bytes that are no UTF-8 cost their line alone. Raises KeysRefused."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:  # a pipe must not block the loop
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise KeysRefused("is not a regular file")
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise KeysRefused(f"can't be read ({error.strerror})") from None
    if len(content) > MAX_FILE_BYTES:
        raise KeysRefused(f"has more than {MAX_FILE_BYTES} bytes")
    return content.decode("utf-8-sig", errors="replace")


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line that is meant to be a key, and its number."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line


def _parsed(number: int, line: str) -> tuple[str, frozenset[Scope]]:
    """Return a line's key and its scopes. Raises KeysRefused, which names the line and never what stands in it."""
    words = line.split()
    if len(words) != 2:  # noqa: PLR2004 - scopes and key
        raise KeysRefused(f"line {number}: should be scopes, a blank, and a key")
    scopes, key = words
    if not _KEY.fullmatch(key):
        raise KeysRefused(f"line {number}: a key has {MIN_LENGTH} to {MAX_LENGTH} letters, digits or ._~+/=-")
    try:
        return key, frozenset(map(Scope, scopes.split(",")))
    except ValueError:
        raise KeysRefused(f"line {number}: scopes are {' and '.join(Scope)}") from None
