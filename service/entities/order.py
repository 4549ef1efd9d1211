"""The order document: its fields and their rules.

The column types, `docs/order.schema.json` and the decoder are derived from these limits. Lengths are in characters
(Unicode code points), as in PostgreSQL's `varchar(n)`.
"""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct, json

MAX_BIGINT: Final = 2**63 - 1
MAX_ITEMS: Final = 1_000
MAX_UID_LENGTH: Final = 64
MAX_AGE_SECONDS: Final = 100 * 366 * 86_400
"""The maximum age in a setting: a date that long ago is still within Python's and PostgreSQL's calendars."""
UID_CHARACTER: Final = "[A-Za-z0-9_-]"
"""Pattern of one character of an `order_uid`."""

_END: Final = r"(?![\s\S])"
"""The end of a text. In Python, `$` would also match before a trailing newline."""

Amount = Annotated[int, Meta(ge=0, le=MAX_BIGINT, description="Whole minor units of the currency.")]
Number = Annotated[int, Meta(ge=0, le=MAX_BIGINT)]
OrderUid = Annotated[str, Meta(min_length=1, max_length=MAX_UID_LENGTH, pattern=rf"^{UID_CHARACTER}+{_END}")]
Text = Annotated[str, Meta(min_length=1, max_length=255)]
LongText = Annotated[str, Meta(min_length=1, max_length=1024)]
OptionalText = Annotated[
    Annotated[str, Meta(max_length=1024)] | None, Meta(description="May be absent; null is the same as absent.")
]
Phone = Annotated[str, Meta(max_length=16, pattern=rf"^\+[0-9]{{7,15}}{_END}")]
Email = Annotated[str, Meta(max_length=254, pattern=rf"^[^@\s]+@[^@\s.]+(\.[^@\s.]+)+{_END}")]
Currency = Annotated[str, Meta(min_length=3, max_length=3, pattern=rf"^[A-Z]{{3}}{_END}")]
UnixSeconds = Annotated[int, Meta(ge=0, le=MAX_BIGINT, description="Seconds since 1970-01-01T00:00:00Z.")]
Timestamp = Annotated[datetime, Meta(tz=True, description="RFC 3339 with a time zone; returned in UTC.")]


class DocumentPart(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """Base of the parts of an order's document: immutable, closed, and untracked by the garbage collector.

    Only optional fields have a default, None: a field that is absent stays absent when encoded.
    """


class Delivery(DocumentPart, frozen=True):
    name: LongText
    phone: Phone
    zip: Text
    city: Text
    address: LongText
    region: Text
    email: Email


class Payment(DocumentPart, frozen=True, kw_only=True):
    transaction: Text
    request_id: OptionalText = None
    currency: Currency
    provider: Text
    amount: Amount
    payment_dt: UnixSeconds
    bank: Text
    delivery_cost: Amount
    goods_total: Amount
    custom_fee: Amount


class Item(DocumentPart, frozen=True):
    chrt_id: Number
    track_number: Text
    price: Amount
    rid: Text
    name: LongText
    sale: Annotated[int, Meta(ge=0, le=100, description="Per cent.")]
    size: Text
    total_price: Amount
    nm_id: Number
    brand: Text
    status: Annotated[int, Meta(ge=0, le=999)]


class Order(DocumentPart, frozen=True, kw_only=True):
    order_uid: OrderUid
    track_number: Text
    entry: Text
    delivery: Delivery
    payment: Payment
    items: Annotated[list[Item], Meta(min_length=1, max_length=MAX_ITEMS)]
    locale: Text
    internal_signature: OptionalText = None
    customer_id: Text
    delivery_service: Text
    shardkey: Text
    sm_id: Number
    date_created: Timestamp
    oof_shard: Text


AmountMismatchPolicy = Literal["warn", "reject", "ignore"]
"""What to do with an order that has `amount_mismatches`."""


def amount_mismatches(order: Order) -> list[str]:
    """Return the paths of the amounts that differ from the sum of their parts."""
    payment, mismatches = order.payment, []
    if payment.amount != payment.goods_total + payment.delivery_cost + payment.custom_fee:
        mismatches.append("payment.amount")
    if payment.goods_total != sum(item.total_price for item in order.items):
        mismatches.append("payment.goods_total")
    return mismatches


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the document. It allows unknown fields, which are ignored."""
    closed = json.schema(Order)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Order"} | closed
    return schema | {"$defs": portable(closed["$defs"])}


def portable(schemas: dict[str, Any]) -> dict[str, Any]:
    """Return the schemas by name, with patterns for every engine. The schemas of an order allow unknown fields.

    JSON Schema uses ECMAScript's patterns, in which `$` is the end. Go and Rust have no look-around.
    """
    ported: dict[str, Any] = json.decode(json.encode(schemas).replace(json.encode(_END).strip(b'"'), b"$"))
    for part in DocumentPart.__subclasses__():
        ported.get(part.__name__, {}).pop("additionalProperties", None)
    return ported
