"""The notifications that a writer sends in its transaction: the uids and versions of new and of changed orders."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec import DecodeError, ValidationError
from msgspec.json import Decoder, encode

from service.entities.version import Version
from service.repo.document import rfc3339_expression
from service.repo.scope import CHANNEL
from service.usecases.ports.reads import Notification

MAX_PAYLOAD_BYTES: Final = 7_999
"""PostgreSQL rejects 8,000."""
_PAYLOADS: Final = r"unnest(string_to_array(%s, E'\n')) payload"
NOTIFY: Final = f"SELECT pg_notify({CHANNEL}, payload) FROM {_PAYLOADS}"
"""The parameter is `payload_lines`. Few payloads per transaction, because NOTIFY takes a global lock at commit."""
NOTIFY_STORED: Final = f"""\
SELECT pg_notify({CHANNEL}, '{{"stored_at":"' || {rfc3339_expression("now()")} || '",' || substr(payload, 2))
FROM {_PAYLOADS}"""
"""NOTIFY, with the transaction's `orders.stored_at`."""
_ENVELOPE_BYTES: Final = len('{"stored_at":"","changed":[],"versions":[]}') + len("294276-12-31T23:59:59.999999Z")
_SEPARATOR_BYTES: Final = 3
NO_VERSIONS: Final[Mapping[str, Version]] = {}

_decoder: Final = Decoder(Notification)


def payloads(
    new: Sequence[str], changed: Sequence[str], versions: Mapping[str, Version] = NO_VERSIONS
) -> Iterator[str]:
    """Yield as few payloads as possible. `versions` has the version of every order, or is empty."""
    for field, uids in (("new", new), ("changed", changed)):
        for chunk in _chunks(uids, _max_bytes(versions)):
            members = {"versions": [versions[uid] for uid in chunk]} if versions else {}
            yield encode({field: chunk, **members}).decode()


def payload_lines(new: Sequence[str], changed: Sequence[str], versions: Mapping[str, Version] = NO_VERSIONS) -> str:
    """Return the payloads as lines of one text: psycopg would escape each quote of an array of texts in Python code."""
    return "\n".join(payloads(new, changed, versions))


def parse(payload: str) -> Notification | None:
    """Return the notification, or None if the payload is malformed."""
    try:
        return _decoder.decode(payload)
    except (DecodeError, ValidationError):
        return None


def _max_bytes(versions: Mapping[str, Version]) -> int:
    """Return an upper bound of the size of a version in a payload: the size of a version of its greatest numbers."""
    return len(encode([*map(max, zip(*versions.values(), strict=True))])) + 1 if versions else 0


def _chunks(uids: Sequence[str], version_bytes: int) -> Iterator[list[str]]:
    """Uids are ASCII, so characters are bytes."""
    chunk: list[str] = []
    room = MAX_PAYLOAD_BYTES - _ENVELOPE_BYTES
    for uid in uids:
        cost = len(uid) + _SEPARATOR_BYTES + version_bytes
        if cost > room:
            yield chunk
            chunk, room = [], MAX_PAYLOAD_BYTES - _ENVELOPE_BYTES
        chunk.append(uid)
        room -= cost
    if chunk:
        yield chunk
