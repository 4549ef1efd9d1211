"""What must have become of a stream, as digests: about 200 bytes an order, however large the documents."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from generator.orders import DATE_RANGE
from generator.stream import UPDATE, VALID, stream

if TYPE_CHECKING:
    from collections.abc import Iterable

    from confluent_kafka import Message as Record

    from generator.orders import Document
    from generator.stream import Message, Plan
    from service.entities.dead_letter import Reason

DIGEST_BYTES = 16
DATED_MESSAGES: Final = 1_000
"""Of the beginning of a stream, in which the end of its dates is looked for."""

_canonical = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


@dataclass
class Expected:
    """`orders`: order_uid to the digest of its newest version. `dead_letters`: their digests to their reasons."""

    messages: int = 0
    orders: dict[str, bytes] = field(default_factory=dict)
    dead_letters: dict[bytes, Reason] = field(default_factory=dict)


def expected(plan: Plan) -> Expected:
    """Run the stream again, without a broker. Raises ValueError for a plan without end."""
    require_end(plan)
    result = Expected()
    for message in stream(plan):
        _expect(result, message)
    return result


def require_end(plan: Plan) -> None:
    if not plan.count:
        raise ValueError("--count 0 is without end: there is nothing to compare with")


def _expect(result: Expected, message: Message) -> None:
    result.messages += 1
    if message.reason is not None:
        result.dead_letters[dead_letter_digest(message.key, message.value)] = message.reason
    elif message.kind in {VALID, UPDATE}:
        result.orders[message.key.decode()] = order_digest(json.loads(message.value or b""))


def until_of(plan: Plan, records: Iterable[Record]) -> datetime | None:
    """Return the `until` of the run that produced the records, by the first of its first orders among them.

    The dates of a stream move with its `until`, and nothing else does. Where none is found it is the plan's.
    """
    if plan.until is None:
        return None
    beginning = islice(stream(plan), DATED_MESSAGES)
    dates = {message.key: date for message in beginning if (date := _date_within(message.value, plan.until))}
    for record in records:
        key, date = record.key(), _date(record.value())
        if date and isinstance(key, bytes) and key in dates:
            return plan.until + (date - dates[key])
    return plan.until


def _date_within(value: bytes | None, until: datetime) -> datetime | None:
    """Return the date of an order unless a fault has put another one there."""
    date = _date(value)
    return date if date and until - DATE_RANGE - timedelta(seconds=1) <= date <= until else None


def _date(value: Any) -> datetime | None:
    try:
        date = datetime.fromisoformat(json.loads(value)["date_created"])
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    return date if date.tzinfo else None


def order_digest(order: Document) -> bytes:
    """Equal for documents of equal content: the same moment in any zone, an optional field that is null or absent."""
    moment = datetime.fromisoformat(order["date_created"]).astimezone(UTC)
    known = _without_null(order, "internal_signature") | {"date_created": moment.isoformat()}
    if isinstance(order["payment"], dict):
        known["payment"] = _without_null(order["payment"], "request_id")
    return _digest(_canonical(known).encode())


def _without_null(part: Document, *fields: str) -> Document:
    return {name: value for name, value in part.items() if name not in fields or value is not None}


def dead_letter_digest(key: Any, value: Any) -> bytes:
    """Equal for equal bytes of both; None is not the same as empty."""
    digest = blake2b(digest_size=DIGEST_BYTES)
    for part in (key, value):
        digest.update(b"none" if part is None else b"%d bytes" % len(part))
        digest.update(part or b"")
    return digest.digest()


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=DIGEST_BYTES).digest()
