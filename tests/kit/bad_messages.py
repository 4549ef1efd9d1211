"""A message of each kind that is no valid order, and what its dead letter contains."""

from collections.abc import Sequence
from gzip import compress
from itertools import chain, zip_longest
from time import time
from typing import Any, NamedTuple

from confluent_kafka import Message
from msgspec.json import encode

from service.entities.dead_letter_headers import DLQ_PREFIX, Header, Headers
from tests.kit.factories import SAMPLE, Document, order_document
from tests.kit.harness import Sent, headers, orders

MARK = "Zzyzx"


MARKED_NUMBER = 70_707_071


ITEM = SAMPLE["items"][0] | {"name": MARK, "brand": MARK, "price": MARKED_NUMBER}


RECEIVER = {"name": MARK, "city": MARK, "address": MARK, "email": f"{MARK}@{MARK}.org"}


MONEY = {"bank": MARK, "amount": MARKED_NUMBER}


ORIGINAL_HEADERS: Headers = [("traceparent", b"00-ab"), ("twice", b"1"), ("twice", b"\xff\x00"), ("null", None)]


def marked(**overrides: Any) -> Document:
    """Return a valid order with marks in every section, merged with `overrides` like `order_document`."""
    base = order_document(customer_id=MARK, delivery=RECEIVER, payment=MONEY, items=[ITEM])
    merged = {name: base[name] | value if isinstance(value, dict) else value for name, value in overrides.items()}
    return base | merged


def document(**overrides: Any) -> bytes:
    return encode(marked(**overrides))


def without(name: str) -> bytes:
    return encode({field: value for field, value in marked().items() if field != name})


def document_with_token(token: bytes, **overrides: Any) -> bytes:
    """Encode a document and replace the string `<token>` by raw bytes, which an encoder would not produce."""
    return document(**overrides).replace(b'"<token>"', token)


def city(token: bytes) -> bytes:
    return document_with_token(token, delivery={"city": "<token>"})


def amount(token: bytes) -> bytes:
    return document_with_token(token, payment={"amount": "<token>"})


def item(**overrides: Any) -> bytes:
    return document(items=[ITEM, ITEM | overrides])


class Bad(NamedTuple):
    value: bytes
    reason: str
    detail: str
    """Prefix of the detail: the invalid field, if there is one."""


def undecodable(value: bytes, detail: str = "malformed JSON") -> Bad:
    return Bad(value, "undecodable", detail)


def invalid(value: bytes, field: str) -> Bad:
    return Bad(value, "invalid", f"{field}: ")


BAD = [
    undecodable(document()[:400]),
    undecodable(f"{MARK}, thank you".encode()),
    undecodable(document() * 2),
    undecodable(document() + b"\0"),
    undecodable(b"\xef\xbb\xbf" * 2 + document()),
    undecodable(b"\0\0\0\0\7" + document(), "Confluent wire format, schema id 7"),
    undecodable(document().decode().encode("utf-16"), "UTF-16 is not supported: send UTF-8"),
    undecodable(compress(document(), mtime=0)[:-9], "incomplete gzip"),
    undecodable(b"\x1f\x8b" + document(), "malformed gzip"),
    undecodable(compress(document()[:-1], mtime=0)),
    Bad(compress(b" " * 2**21, mtime=0), "too-large", "larger than 1048576 bytes when decompressed"),
    undecodable(encode({"specversion": "0.3", "data": marked()}), "CloudEvents specversion is not supported"),
    undecodable(encode({"specversion": "1.0", "datacontenttype": MARK, "data": MARK}), "CloudEvents datacontenttype"),
    undecodable(encode({"specversion": "1.0", "subject": MARK}), "CloudEvents event without data"),
    invalid(encode({"specversion": "1.0", "data": marked(sm_id=-1)}), "CloudEvents; sm_id"),
    undecodable(encode({"op": MARK, "after": marked()}), "Debezium change event with an unknown op"),
    undecodable(encode({"op": "c", "before": marked(), "after": None}), "Debezium change event without a row in after"),
    Bad(encode({"op": "c", "after": MARK}), "invalid", "Debezium change event; Expected object"),
    invalid(encode({"payload": document(sm_id=-1).decode()}), "Debezium change event; sm_id"),
    invalid(encode({"schema": None, "payload": marked(sm_id=-1)}), "Kafka Connect JSON envelope; sm_id"),
    undecodable(amount(b"NaN")),
    undecodable(amount(b"-Infinity")),
    undecodable(amount(b"1e400"), "a number is out of range"),
    undecodable(city(b'"Zzyzx \0"')),
    undecodable(city(b'"Zzyzx \xff"'), "not UTF-8"),
    undecodable(city(b'"\xed\xa0\x80"'), "not UTF-8"),
    undecodable(city(rb'"\ud83e"')),
    undecodable(document_with_token(b"[" * 32 + b"]" * 32, extra="<token>"), "nested too deeply"),
    undecodable(b'{"Zzyzx":' * 100_000, "nested too deeply"),
    Bad(b"true", "invalid", "Expected object"),
    Bad(b"[" + document() + b"]", "invalid", "Expected object"),
    Bad(b"70707071", "invalid", "Expected object"),
    Bad(b'"Zzyzx"', "invalid", "Expected object"),
    invalid(b"{}", "order_uid"),
    invalid(without("order_uid"), "order_uid"),
    invalid(without("delivery"), "delivery"),
    invalid(without("date_created"), "date_created"),
    invalid(encode(marked() | {"delivery": {"name": MARK}}), "delivery.phone"),
    invalid(document(items=[{"chrt_id": MARKED_NUMBER}]), "items[0].track_number"),
    invalid(document(items=[ITEM, {}]), "items[1].chrt_id"),
    invalid(document(locale=None), "locale"),
    invalid(document(customer_id=MARKED_NUMBER), "customer_id"),
    invalid(document(payment=MARK), "payment"),
    invalid(encode(marked() | {"items": {MARK: ITEM}}), "items"),
    invalid(document(payment={"amount": str(MARKED_NUMBER)}), "payment.amount"),
    invalid(document(order_uid=f"{MARK} {MARK}"), "order_uid"),
    invalid(document(order_uid=f"../{MARK}"), "order_uid"),
    invalid(document(order_uid=MARK * 13), "order_uid"),
    invalid(document(entry=MARK * 52), "entry"),
    invalid(document(track_number=""), "track_number"),
    invalid(document(delivery={"name": f"{MARK}\0"}), "delivery.name"),
    invalid(document(delivery={"phone": "70707071"}), "delivery.phone"),
    invalid(document(delivery={"email": f"{MARK}@{MARK}"}), "delivery.email"),
    invalid(document(payment={"currency": "zzyzx"}), "payment.currency"),
    invalid(document(payment={"delivery_cost": -MARKED_NUMBER}), "payment.delivery_cost"),
    invalid(document(payment={"amount": 2**63}), "payment.amount"),
    invalid(document(sm_id=2**64), "sm_id"),
    invalid(amount(b"70707071.5"), "payment.amount"),
    invalid(amount(b"70707071.0"), "payment.amount"),
    invalid(amount(b"70707071e1"), "payment.amount"),
    invalid(item(sale=101), "items[1].sale"),
    invalid(item(status=1_000), "items[1].status"),
    invalid(document(items=[]), "items"),
    invalid(document(items=[ITEM] * 1_001), "items"),
    invalid(document(date_created="9999-12-31T23:59:59Z"), "date_created"),
    invalid(document(date_created="2021-11-26T06:22:19"), "date_created"),
    invalid(document(date_created=MARK), "date_created"),
    Bad(document(extra=MARK * 210_000), "too-large", "larger than 1048576 bytes"),
]


def bad_messages() -> list[Sent]:
    """Return a message of each kind, with various keys and headers."""
    keys = [None, b"", b"\0\xff", b"Zzyzx"]
    began = int(time() * 1_000) - 60_000
    return [
        Sent(bad.value, keys[number % len(keys)], 0, began + number, ORIGINAL_HEADERS if number % 2 else [])
        for number, bad in enumerate(BAD)
    ]


def good_orders(count: int) -> list[Sent]:
    return orders([order_document() for _ in range(count)])


def uids(messages: Sequence[Sent]) -> set[str]:
    return {message.key.decode() for message in messages if message.key}


def interleaved(good: Sequence[Sent], bad: Sequence[Sent]) -> list[Sent]:
    """Return good and bad messages alternately, starting with a good one."""
    return [message for message in chain.from_iterable(zip_longest(good, bad)) if message]


def dlq_headers(dead_letter: Message) -> dict[str, str]:
    """Return the headers that the consumer added."""
    return {name: (value or b"").decode() for name, value in headers(dead_letter) if name.startswith(DLQ_PREFIX)}


def original_offset(dead_letter: Message) -> int:
    return int(dlq_headers(dead_letter)[Header.OFFSET])
