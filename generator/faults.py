"""The catalog of faults: invalid messages as real producers send them, each with the reason for its dead letter.

`undecodable` is not JSON, `invalid` is JSON that violates a rule of the order document, `too-large` is a valid order
that exceeds 1 MiB.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from generator.orders import Document, Random, encode
from service.entities.dead_letter import Reason
from service.entities.order import MAX_BIGINT, MAX_ITEMS

Make = Callable[[Document, Random], bytes]

MAX_VALUE_BYTES: Final = 2**20
"""The consumer's default limit."""
LARGEST_VALUE_BYTES: Final = 4 * 2**20
EXCESSIVE_DEPTH: Final = 32
"""Nesting levels inside an unknown field. With the document itself that is one more than the 32 allowed."""
STACK_OVERFLOW_DEPTH: Final = 100_000
"""Nesting levels that overflow the stack of a recursive parser."""

GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""Only a header, because compressed bytes differ between builds of zlib, and a seed must always give the same bytes."""


@dataclass(frozen=True)
class Fault:
    """`make` returns the value of a message, made from a valid order that it may modify.

    The consumer must dead-letter the message with `reason`, and name `field` in the detail if it is not empty.
    """

    name: str
    reason: Reason
    field: str
    make: Make


def _set(field: str, value: Any) -> Make:
    def make(order: Document, _: Random) -> bytes:
        parent, key = _locate(order, field)
        parent[key] = value
        return encode(order)

    return make


def _remove(field: str) -> Make:
    def make(order: Document, _: Random) -> bytes:
        parent, key = _locate(order, field)
        del parent[key]
        return encode(order)

    return make


def _set_raw(field: str, token: bytes) -> Make:
    """Replace a field by raw text that no JSON encoder would write."""

    def make(order: Document, random: Random) -> bytes:
        return _set(field, "<token>")(order, random).replace(b'"<token>"', token)

    return make


def _locate(order: Document, field: str) -> tuple[Any, Any]:
    """Return the container and the key of a path like `items[0].price`."""
    *parents, key = [int(step) if step.isdigit() else step for step in re.findall(r"\w+", field)]
    container: Any = order
    for step in parents:
        container = container[step]
    return container, key


def _rewrite(rewrite: Callable[[bytes], bytes]) -> Make:
    """Change the encoded text of a valid order."""
    return lambda order, _: rewrite(encode(order))


def _constant(value: bytes) -> Make:
    return lambda _, __: value


def _truncate(order: Document, random: Random) -> bytes:
    value = encode(order)
    return value[: 1 + int(random() * (len(value) - 1))]


def _with_items(count: int) -> Make:
    def make(order: Document, _: Random) -> bytes:
        return encode(order | {"items": order["items"][:1] * count})

    return make


def _nest(levels: int) -> Make:
    return _set_raw("extra", b"[" * levels + b"]" * levels)


def _pad(size: int) -> Make:
    """Pad a valid order to `size` bytes. The padding compresses well, because a broker's limit applies afterwards."""

    def make(order: Document, _: Random) -> bytes:
        bare = len(encode(order | {"extra": ""}))
        return encode(order | {"extra": "x" * (size - bare)})

    return make


def _undecodable(name: str, make: Make) -> Fault:
    return Fault(name, Reason.UNDECODABLE, "", make)


def _invalid(name: str, field: str, make: Make) -> Fault:
    return Fault(name, Reason.INVALID, field, make)


def _wrong(name: str, field: str, value: Any) -> Fault:
    return _invalid(name, field, _set(field, value))


def _missing(field: str) -> Fault:
    return _invalid(f"missing-{field.replace('[0].', '-').replace('.', '-')}", field, _remove(field))


_UNDECODABLE: Final = (
    _undecodable("whitespace", _constant(b" \n\t ")),
    _undecodable("plain-text", _constant(b"order received, thank you")),
    _undecodable("truncated", _truncate),
    _undecodable("trailing-characters", _rewrite(lambda value: value + b";")),
    _undecodable("two-documents", _rewrite(lambda value: value + b"\n" + value)),
    _undecodable("trailing-comma", _rewrite(lambda value: value[:-1] + b",}")),
    _undecodable("single-quotes", _rewrite(lambda value: value.replace(b'"', b"'"))),
    _undecodable("unquoted-key", _rewrite(lambda value: value.replace(b'"order_uid"', b"order_uid"))),
    _undecodable("comment", _rewrite(lambda value: b"/* order */" + value)),
    _undecodable("two-byte-order-marks", _rewrite(lambda value: b"\xef\xbb\xbf" * 2 + value)),
    _undecodable("utf-16", _rewrite(lambda value: value.decode().encode("utf-16"))),
    _undecodable("gzip-header", _rewrite(lambda value: GZIP_HEADER + value)),
    _undecodable("schema-registry-frame", _rewrite(lambda value: b"\x00\x00\x00\x00\x07" + value)),
    _undecodable("latin-1-text", _set_raw("delivery.city", b'"M\xfcnchen"')),
    _undecodable("overlong-utf-8", _set_raw("delivery.city", b'"\xc0\xaf"')),
    _undecodable("surrogate-in-utf-8", _set_raw("delivery.city", b'"\xed\xa0\x80"')),
    _undecodable("truncated-utf-8", _set_raw("delivery.city", b'"\xf0\x9f\xa7"')),
    _undecodable("lone-surrogate", _set_raw("delivery.name", b'"\\ud83e"')),
    _undecodable("reversed-surrogates", _set_raw("delivery.name", b'"\\uddd8\\ud83e"')),
    _undecodable("lone-surrogate-in-unknown-field", _set_raw("extra", b'"\\ud83e"')),
    _undecodable("unknown-escape", _set_raw("delivery.name", b'"\\x41nna"')),
    _undecodable("raw-line-break", _set_raw("delivery.address", b'"Allee 1\nBerlin"')),
    _undecodable("raw-nul", _set_raw("delivery.address", b'"Allee 1\x00"')),
    _undecodable("nan", _set_raw("payment.amount", b"NaN")),
    _undecodable("infinity", _set_raw("payment.amount", b"Infinity")),
    _undecodable("minus-infinity", _set_raw("payment.amount", b"-Infinity")),
    _undecodable("python-none", _set_raw("payment.bank", b"None")),
    _undecodable("leading-zero", _set_raw("payment.amount", b"007")),
    _undecodable("leading-plus", _set_raw("payment.amount", b"+7")),
    _undecodable("hexadecimal", _set_raw("payment.amount", b"0x1F")),
    _undecodable("out-of-double-range", _set_raw("payment.amount", b"1e400")),
    _undecodable("nested-too-deeply", _nest(EXCESSIVE_DEPTH)),
    _undecodable("nested-without-end", _nest(STACK_OVERFLOW_DEPTH)),
)

_INVALID: Final = (
    _invalid("json-array", "", _rewrite(lambda value: b"[" + value + b"]")),
    _invalid("json-false", "", _constant(b"false")),
    _invalid("json-text", "", _constant(b'"an order"')),
    _invalid("json-number", "", _constant(b"42")),
    _invalid("json-true", "", _constant(b"true")),
    _invalid("empty-object", "order_uid", _constant(b"{}")),
    _missing("order_uid"),
    _missing("delivery"),
    _missing("delivery.phone"),
    _missing("payment"),
    _missing("payment.currency"),
    _missing("items"),
    _missing("items[0].price"),
    _missing("date_created"),
    _wrong("null-text", "track_number", None),
    _wrong("number-for-optional-text", "payment.request_id", 5),
    _wrong("null-amount", "payment.amount", None),
    _wrong("null-object", "delivery", None),
    _wrong("null-item", "items[0]", None),
    _wrong("array-for-object", "delivery", []),
    _wrong("object-for-array", "items", {}),
    _wrong("number-for-text", "customer_id", 5),
    _wrong("text-for-number", "payment.amount", "1817"),
    _invalid("true-for-number", "sm_id", _set_raw("sm_id", b"true")),
    _wrong("fraction", "payment.goods_total", 317.5),
    _invalid("zero-fraction", "items[0].price", _set_raw("items[0].price", b"453.0")),
    _invalid("exponent", "payment.amount", _set_raw("payment.amount", b"1e3")),
    _wrong("negative-amount", "payment.delivery_cost", -1),
    _wrong("over-bigint", "payment.amount", MAX_BIGINT + 1),
    _wrong("over-unsigned-bigint", "items[0].chrt_id", 2**64),
    _wrong("under-bigint", "sm_id", -(2**63) - 1),
    _wrong("hundred-digits", "items[0].nm_id", 10**99),
    _wrong("sale-over-100", "items[0].sale", 101),
    _wrong("negative-sale", "items[0].sale", -1),
    _wrong("status-over-999", "items[0].status", 1000),
    _wrong("nul-in-text", "delivery.name", "Anna\x00"),
    _wrong("nul-in-item", "items[0].brand", "\x00"),
    _invalid("nul-in-unknown-field", "", _set("extra", "\x00")),
    _invalid("nul-in-unknown-key", "", _set("extra", {"\x00": 1})),
    _invalid("repeated-key", "order_uid", _rewrite(lambda value: value[:-1] + b',"order_uid":5}')),
    _wrong("empty-text", "track_number", ""),
    _wrong("too-long-text", "delivery.address", "ä" * 20_000),
    _wrong("empty-uid", "order_uid", ""),
    _wrong("uid-of-65-characters", "order_uid", "a" * 65),
    _wrong("space-in-uid", "order_uid", "b563feb7 b2b84b6"),
    _wrong("slash-in-uid", "order_uid", "../b563feb7b2b84b6"),
    _wrong("line-break-after-uid", "order_uid", "b563feb7b2b84b6test\n"),
    _wrong("cyrillic-uid", "order_uid", "заказ-1"),
    _invalid("no-items", "items", _with_items(0)),
    _invalid("too-many-items", "items", _with_items(MAX_ITEMS + 1)),
    _wrong("phone-without-plus", "delivery.phone", "9720000000"),
    _wrong("phone-too-short", "delivery.phone", "+123456"),
    _wrong("phone-too-long", "delivery.phone", "+1234567890123456"),
    _wrong("phone-with-spaces", "delivery.phone", "+972 000 0000"),
    _wrong("phone-in-arabic-digits", "delivery.phone", "+٩٧٢٠٠٠٠٠٠٠"),
    _wrong("email-without-at", "delivery.email", "test.gmail.com"),
    _wrong("email-with-two-at", "delivery.email", "test@@gmail.com"),
    _wrong("email-without-dot", "delivery.email", "test@localhost"),
    _wrong("email-with-space", "delivery.email", "te st@gmail.com"),
    _wrong("currency-in-lower-case", "payment.currency", "usd"),
    _wrong("currency-of-four", "payment.currency", "EURO"),
    _wrong("currency-symbol", "payment.currency", "€"),
    _wrong("payment-time-as-text", "payment.payment_dt", "2021-11-26T06:22:19Z"),
    _wrong("date-without-zone", "date_created", "2021-11-26T06:22:19"),
    _wrong("date-without-time", "date_created", "2021-11-26"),
    _wrong("date-as-number", "date_created", 1637907727),
    _wrong("date-in-words", "date_created", "yesterday"),
    _wrong("30th-of-february", "date_created", "2021-02-30T06:22:19Z"),
    _wrong("hour-25", "date_created", "2021-11-26T25:22:19Z"),
    _wrong("far-future", "date_created", "9999-12-31T23:59:59Z"),
    _wrong("beyond-year-9999", "date_created", "9999-12-31T23:59:59-01:00"),
)

_TOO_LARGE: Final = (
    Fault("one-byte-over-1-mib", Reason.TOO_LARGE, "", _pad(MAX_VALUE_BYTES + 1)),
    Fault("4-mib", Reason.TOO_LARGE, "", _pad(LARGEST_VALUE_BYTES)),
)

CATALOG: Final = _UNDECODABLE + _INVALID
"""Faults that a topic with the default size limit accepts."""

FULL_CATALOG: Final = CATALOG + _TOO_LARGE
"""All faults. The large ones need compression, or a topic with a higher size limit."""
