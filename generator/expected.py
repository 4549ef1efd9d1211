"""The expected result of a stream, as digests: about 200 bytes per order, regardless of the size of its document."""

import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import islice
from typing import Any, Final

from confluent_kafka import Message as Record

from generator.formats import document_in
from generator.orders import DATE_RANGE, Document
from generator.stream import UPDATE, VALID, Message, Plan, stream
from service.entities.dead_letter import Reason

DIGEST_BYTES: Final = 16
MAX_SEARCHED_MESSAGES: Final = 1_000
"""Number of messages at the start of a stream from which `until` is inferred."""

_canonical = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


@dataclass
class ExpectedResult:
    """`orders` maps order_uid to the digest of the newest version, `dead_letters` maps digest to reason.

    `expired` are the orders that may be missing because of their age.
    """

    messages: int = 0
    orders: dict[str, bytes] = field(default_factory=dict)
    expired: set[str] = field(default_factory=set)
    dead_letters: dict[bytes, Reason] = field(default_factory=dict)


def expected_result(plan: Plan, cutoff: datetime | None = None) -> ExpectedResult:
    """Generate the stream of a limited plan again and return its result.

    Orders that were created before `cutoff` are expired.
    """
    result = ExpectedResult()
    for message in stream(plan):
        _add(result, message, cutoff)
    return result


def _add(result: ExpectedResult, message: Message, cutoff: datetime | None) -> None:
    result.messages += 1
    if message.reason is not None:
        result.dead_letters[dead_letter_digest(message.key, message.value)] = message.reason
    elif message.kind in {VALID, UPDATE}:
        uid, order = message.key.decode(), document_in(message.value)
        result.orders[uid] = order_digest(order)
        if cutoff and datetime.fromisoformat(order["date_created"]) < cutoff:
            result.expired.add(uid)


def infer_until(plan: Plan, records: Iterable[Record]) -> datetime | None:
    """Return the `until` of the run that produced the records: all dates of a stream are relative to it.

    Compares the date of one order with the date of the same order in the plan. Returns the plan's `until` if none of
    the first orders is found.
    """
    if plan.until is None:
        return None
    start = islice(stream(plan), MAX_SEARCHED_MESSAGES)
    dates = {message.key: date for message in start if (date := _date_within(message.value, plan.until))}
    for record in records:
        key, date = record.key(), _date(record.value())
        if date and isinstance(key, bytes) and key in dates:
            return plan.until + (date - dates[key])
    return plan.until


def _date_within(value: bytes | None, until: datetime) -> datetime | None:
    """Return the date of an order; None if it is a date that only a fault can contain."""
    date = _date(value)
    return date if date and until - DATE_RANGE - timedelta(seconds=1) <= date <= until else None


def _date(value: Any) -> datetime | None:
    try:
        date = datetime.fromisoformat(document_in(value)["date_created"])
    except (KeyError, TypeError, ValueError, RecursionError, OSError, EOFError, zlib.error):
        return None
    return date if date.tzinfo else None


def order_digest(order: Document) -> bytes:
    """Return the same digest for equal orders: time zones do not matter, nor whether an optional field is null."""
    date_created = datetime.fromisoformat(order["date_created"]).astimezone(UTC)
    normalized = _without_null(order, "internal_signature") | {"date_created": date_created.isoformat()}
    if isinstance(order["payment"], dict):
        normalized["payment"] = _without_null(order["payment"], "request_id")
    return _digest(_canonical(normalized).encode())


def _without_null(part: Document, *fields: str) -> Document:
    return {name: value for name, value in part.items() if name not in fields or value is not None}


def dead_letter_digest(key: Any, value: Any) -> bytes:
    """Return a digest of key and value; None and empty differ."""
    digest = blake2b(digest_size=DIGEST_BYTES)
    for part in (key, value):
        digest.update(b"none" if part is None else b"%d bytes" % len(part))
        digest.update(part or b"")
    return digest.digest()


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=DIGEST_BYTES).digest()
