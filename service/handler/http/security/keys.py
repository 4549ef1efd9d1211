"""API keys and their scopes, read from a file.

This module keeps only SHA-256 digests of the keys in memory. (`fastpath.responder` keeps the header blocks of recent
requests, which contain keys.)

Each line of the file has a name, scopes separated by commas, and a key, separated by spaces. The name may be left out
if the key does not have the scope `replay`. Empty lines and lines that begin with `#` are ignored, as are malformed
lines, which are logged. All keys in the file are valid, so that a key is rotated by adding the new one first, under
the same name. A file without keys, or one that stays unreadable, revokes all keys.
"""

import hmac
import re
from collections.abc import Iterator
from contextlib import suppress
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple, Self

from structlog.typing import FilteringBoundLogger

from service.errors import InvalidKeysFile, SecretUnavailable
from service.pkg.credentials import read_regular_file

MIN_KEY_LENGTH: Final = 20
MAX_KEY_LENGTH: Final = 256
MAX_FILE_BYTES: Final = 2**18
MAX_READ_FAILURES: Final = 2
"""Consecutive failures before all keys are revoked: a file that is being replaced may be missing for a moment."""
_MAX_LOGGED_PROBLEMS: Final = 5
_NO_KEYS: Final = "contains no keys"

_KEY: Final = re.compile(rf"[A-Za-z0-9._~+/=-]{{{MIN_KEY_LENGTH},{MAX_KEY_LENGTH}}}")
"""A bearer token (RFC 6750), long enough that it cannot be guessed."""
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""Names go into logs and Kafka headers."""


class KeyScope(StrEnum):
    READ = "read"
    """Orders, events and statistics."""
    DEAD_LETTERS = "dead-letters"
    """Dead letters, with their original bytes."""
    REPLAY = "replay"
    """Sending original or edited dead letters to the order topic. Needs a key with a name."""


class KeyHolder(NamedTuple):
    """Who a key was given to; the name is empty if the file has none."""

    name: str
    scopes: frozenset[KeyScope]


class _Key(NamedTuple):
    digest: bytes
    holder: KeyHolder


class Keys:
    """The keys of a file, as of the last `load` or `reload`. Before `load` there are none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._content: str | None = None
        self._keys: tuple[_Key, ...] = ()
        self._read_failures = 0
        self.problems: tuple[str, ...] = ()
        """Errors of the file or its lines, without the lines' text."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the keys of the file. Raises InvalidKeysFile if there are none."""
        keys = cls(path)
        keys._apply(_read(path))
        if not keys:
            raise InvalidKeysFile(next(iter(keys.problems)))
        return keys

    def __len__(self) -> int:
        return len(self._keys)

    def holder(self, key: str) -> KeyHolder | None:
        """Return the holder of the key, or None if it is unknown. The time does not depend on which key matches."""
        digest = sha256(key.encode()).digest()
        found = None
        for known in self._keys:
            if hmac.compare_digest(known.digest, digest):
                found = known.holder
        return found

    def reload(self) -> bool:
        """Read the file again. Return whether the keys changed."""
        before = self._keys
        try:
            content = _read(self._path)
        except InvalidKeysFile as error:
            self._on_read_failure(str(error))
        else:
            self._read_failures = 0
            if content != self._content:
                self._apply(content)
        return self._keys != before

    def _on_read_failure(self, problem: str) -> None:
        self._read_failures += 1
        self._content, self.problems = None, (problem,)
        if self._read_failures >= MAX_READ_FAILURES:
            self._keys = ()

    def _apply(self, content: str) -> None:
        keys, problems = list[_Key](), list[str]()
        for number, line in _lines(content):
            try:
                key, holder = _parse_line(number, line)
            except InvalidKeysFile as error:
                problems.append(str(error))
            else:
                keys.append(_Key(sha256(key.encode()).digest(), holder))
        if not keys and not problems:
            problems.append(_NO_KEYS)
        self._content, self._keys, self.problems = content, tuple(keys), tuple(problems)


def key_with(path: Path, scope: KeyScope) -> str:
    """Return the file's first key with the scope. Raises InvalidKeysFile if there is none."""
    for number, line in _lines(_read(path)):
        with suppress(InvalidKeysFile):
            key, holder = _parse_line(number, line)
            if scope in holder.scopes:
                return key
    raise InvalidKeysFile(f"contains no key with the scope {scope}")


class KeyReloader:
    """Reloads the keys, and logs each error of the file once."""

    def __init__(self, keys: Keys, log: FilteringBoundLogger) -> None:
        self._keys = keys
        self._log = log
        self._problems: tuple[str, ...] = ()

    def check(self) -> bool:
        """Reload the file. Return whether the keys changed."""
        changed = self._keys.reload()
        problems = self._keys.problems
        if problems and (changed or problems != self._problems):
            logged = list(problems[:_MAX_LOGGED_PROBLEMS])
            self._log.error("the API key file has errors", problems=logged, keys=len(self._keys))
        elif changed:
            self._log.info("API keys reloaded", keys=len(self._keys))
        self._problems = problems
        return changed


def _read(path: Path) -> str:
    """Return the text; invalid UTF-8 makes only its own line malformed. Raises InvalidKeysFile."""
    try:
        return read_regular_file(path, MAX_FILE_BYTES).decode("utf-8-sig", errors="replace")
    except SecretUnavailable as error:
        raise InvalidKeysFile(str(error)) from None


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that are neither empty nor comments, with their numbers."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line


def _parse_line(number: int, line: str) -> tuple[str, KeyHolder]:
    """Return a line's key and its holder. Raises InvalidKeysFile, which has the line's number and never its text."""
    match line.split():
        case [scopes, key]:
            name = ""
        case [name, scopes, key]:
            _verify_name(number, name)
        case _:
            raise InvalidKeysFile(f"line {number}: expected scopes and a key, or a name, scopes and a key")
    if not _KEY.fullmatch(key):
        raise InvalidKeysFile(
            f"line {number}: a key must have {MIN_KEY_LENGTH} to {MAX_KEY_LENGTH} letters, digits or ._~+/=-"
        )
    holder = KeyHolder(name, _parse_scopes(number, scopes))
    if KeyScope.REPLAY in holder.scopes and not name:
        raise InvalidKeysFile(f"line {number}: a key with the scope {KeyScope.REPLAY} must have a name")
    return key, holder


def _verify_name(number: int, name: str) -> None:
    """Reject scopes, too: a space instead of a comma between two scopes must not drop one of them."""
    if not _NAME.fullmatch(name) or name in {*KeyScope}:
        raise InvalidKeysFile(f"line {number}: a name must have 1 to 64 letters, digits or ._- and must not be a scope")


def _parse_scopes(number: int, scopes: str) -> frozenset[KeyScope]:
    try:
        return frozenset(map(KeyScope, scopes.split(",")))
    except ValueError:
        raise InvalidKeysFile(f"line {number}: unknown scope, expected {' or '.join(KeyScope)}") from None
