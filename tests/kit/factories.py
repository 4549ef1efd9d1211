"""Factories of order documents, orders and settings."""

from copy import deepcopy
from typing import Any
from uuid import uuid4

import msgspec

from service.entities.order import Order
from service.entities.record import Record
from service.entities.version import RecordCoordinates, VersionedOrder
from service.repo.connection import ConnectionSettings
from service.repo.conninfo import Conninfo

Document = dict[str, Any]

SAMPLE: Document = {
    "order_uid": "b563feb7b2b84b6test",
    "track_number": "WBILMTESTTRACK",
    "entry": "WBIL",
    "delivery": {
        "name": "Test Testov",
        "phone": "+9720000000",
        "zip": "2639809",
        "city": "Kiryat Mozkin",
        "address": "Ploshad Mira 15",
        "region": "Kraiot",
        "email": "test@gmail.com",
    },
    "payment": {
        "transaction": "b563feb7b2b84b6test",
        "request_id": "",
        "currency": "USD",
        "provider": "wbpay",
        "amount": 1817,
        "payment_dt": 1637907727,
        "bank": "alpha",
        "delivery_cost": 1500,
        "goods_total": 317,
        "custom_fee": 0,
    },
    "items": [
        {
            "chrt_id": 9934930,
            "track_number": "WBILMTESTTRACK",
            "price": 453,
            "rid": "ab4219087a764ae0btest",
            "name": "Mascaras",
            "sale": 30,
            "size": "0",
            "total_price": 317,
            "nm_id": 2389212,
            "brand": "Vivienne Sabo",
            "status": 202,
        }
    ],
    "locale": "en",
    "internal_signature": "",
    "customer_id": "test",
    "delivery_service": "meest",
    "shardkey": "9",
    "sm_id": 99,
    "date_created": "2021-11-26T06:22:19Z",
    "oof_shard": "1",
}


def order_document(**overrides: Any) -> Document:
    """Return the sample with a new `order_uid`. Dicts are merged into its sections; other values replace its fields.

    `order_document(payment={"amount": 5})` changes one field of the payment.
    """
    uid = overrides.get("order_uid", uuid4().hex)
    document = deepcopy(SAMPLE) | {"order_uid": uid}
    document["payment"]["transaction"] = uid
    for field, value in overrides.items():
        document[field] = document[field] | value if isinstance(value, dict) and field in SAMPLE else value
    return document


def order(**overrides: Any) -> Order:
    """Return the order of `order_document(…)`."""
    return msgspec.convert(order_document(**overrides), Order)


def record(offset: int = 0, *, partition: int = 0) -> Record:
    """Return a record of ten bytes of the topic `orders`. Its timestamp grows with the offset."""
    return Record("orders", partition, offset, 1_000 + offset, b"key", b"message", [])


def versioned(
    offset: int = 0, *, timestamp_ms: int = 1_000, partition: int = 0, topic: str = "orders", **overrides: Any
) -> VersionedOrder:
    """Return `order(…)` with the version of a record at that offset."""
    return VersionedOrder(order(**overrides), RecordCoordinates(timestamp_ms, partition, offset, topic))


def connection_settings(dsn: str, application: str, **overrides: Any) -> ConnectionSettings:
    conninfo = Conninfo(dsn, connect_timeout=overrides.pop("connect_timeout", 5))
    defaults = {"statement_timeout": 30, "lock_timeout": 10, "prepared_statements": None}
    return ConnectionSettings(conninfo, application, **defaults | overrides)
