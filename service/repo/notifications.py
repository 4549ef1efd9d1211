"""The notifications that a writer sends in its transaction: the uids and versions of new and of changed orders."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec import DecodeError, ValidationError
from msgspec.json import Decoder, encode

from service.entities.version import RecordCoordinates
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
FREE_QUEUE: Final = "SELECT pg_notification_queue_usage()"
"""Removes what every listener has received. PostgreSQL does so when it adds notifications, and therefore not while the
queue is full: without this, every NOTIFY would fail forever, even after the stalled listener has gone."""
_ENVELOPE_BYTES: Final = len('{"stored_at":"","changed":[],"versions":[]}') + len("294276-12-31T23:59:59.999999Z")
_SEPARATOR_BYTES: Final = 3
_TOPIC_BYTES: Final = len(',"topic":""')
_VERSION_NUMBERS: Final = 3
NO_SOURCES: Final[Mapping[str, RecordCoordinates]] = {}

_decoder: Final = Decoder(Notification)


def payloads(
    new: Sequence[str], changed: Sequence[str], sources: Mapping[str, RecordCoordinates] = NO_SOURCES
) -> Iterator[str]:
    """Yield as few payloads as possible, each of one topic. `sources` has the record of every order, or is empty."""
    topics = {source.topic for source in sources.values()} or {""}
    version_bytes = _max_bytes(sources)
    for field, uids in (("new", new), ("changed", changed)):
        by_topic = _by_topic(uids, sources) if len(topics) > 1 else dict.fromkeys(topics, uids)
        for topic, uids_of_topic in by_topic.items():
            room = MAX_PAYLOAD_BYTES - _ENVELOPE_BYTES - _TOPIC_BYTES - len(topic)
            for chunk in _chunks(uids_of_topic, version_bytes, room):
                members = {"topic": topic, "versions": [sources[uid].version for uid in chunk]} if sources else {}
                yield encode({field: chunk, **members}).decode()


def payload_lines(
    new: Sequence[str], changed: Sequence[str], sources: Mapping[str, RecordCoordinates] = NO_SOURCES
) -> str:
    """Return the payloads as lines of one text: psycopg would escape each quote of an array of texts in Python code."""
    return "\n".join(payloads(new, changed, sources))


def parse(payload: str) -> Notification | None:
    """Return the notification, or None if the payload is malformed."""
    try:
        return _decoder.decode(payload)
    except (DecodeError, ValidationError):
        return None


def _by_topic(uids: Sequence[str], sources: Mapping[str, RecordCoordinates]) -> Mapping[str, Sequence[str]]:
    grouped: dict[str, list[str]] = {}
    for uid in uids:
        grouped.setdefault(sources[uid].topic, []).append(uid)
    return grouped


def _max_bytes(sources: Mapping[str, RecordCoordinates]) -> int:
    """Return an upper bound of the size of a version in a payload: the size of a version of its greatest numbers."""
    columns = [*zip(*sources.values(), strict=True)][:_VERSION_NUMBERS]
    return len(encode([*map(max, columns)])) + 1 if sources else 0


def _chunks(uids: Sequence[str], version_bytes: int, max_bytes: int) -> Iterator[list[str]]:
    """Uids and topics are ASCII, so characters are bytes."""
    chunk: list[str] = []
    room = max_bytes
    for uid in uids:
        cost = len(uid) + _SEPARATOR_BYTES + version_bytes
        if cost > room:
            yield chunk
            chunk, room = [], max_bytes
        chunk.append(uid)
        room -= cost
    if chunk:
        yield chunk
