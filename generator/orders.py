"""Random valid orders, reproducible by seed."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from generator import vocabulary as words

Document = dict[str, Any]
Random = Callable[[], float]
"""`random.Random(seed).random`: the only method whose sequence Python guarantees across versions."""

T = TypeVar("T")

DATE_RANGE: Final = timedelta(days=30)
"""Maximum age of an order at `until`."""
MAX_PAYMENT_AGE_SECONDS: Final = 900
"""Maximum age of the payment when the order is created."""
_SECOND: Final = timedelta(seconds=1)
_ZONES: Final = {zone: datetime.fromisoformat(f"2021-11-26T06:22:19{zone}").tzinfo for zone in words.ZONES}

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def encode(document: Document) -> bytes:
    """Return compact JSON in UTF-8, with the keys in the document's order."""
    return _encode(document).encode()


def utc_now() -> datetime:
    return datetime.now(UTC)


class Orders:
    """Generates valid orders with consistent amounts. No date is after `until`; None: each order is dated `now()`."""

    def __init__(self, random: Random, until: datetime | None, now: Callable[[], datetime] = utc_now) -> None:
        self._random = random
        self._until = until
        self._now = now

    def draw(self) -> Document:
        uid, track, place = self._hex(19), f"WBIL{self._digits(10)}", self._pick(words.PLACES)
        created = self._created()
        items = self._items(track)
        order = {
            "order_uid": uid,
            "track_number": track,
            "entry": "WBIL",
            "delivery": self._delivery(place),
            "payment": self._payment(uid, place.currency, created, items),
            "items": items,
            "locale": place.locale,
            "customer_id": f"customer-{self._below(50_000)}",
            "delivery_service": self._pick(words.DELIVERY_SERVICES),
            "shardkey": str(self._below(10)),
            "sm_id": self._below(100),
            "date_created": self._format(created),
            "oof_shard": str(self._below(3)),
        }
        return order | self._optional("internal_signature", 24)

    def revise(self, order: Document) -> Document:
        """Return another version of the order, with another address and other items: rows are added and deleted."""
        items, payment = self._items(order["track_number"]), order["payment"]
        address = {"address": self._address(self._pick(words.PLACES))}
        return order | {
            "delivery": order["delivery"] | address,
            "payment": payment | _totals(items, payment["delivery_cost"], payment["custom_fee"]),
            "items": items,
        }

    def _created(self) -> datetime:
        """Return whole seconds, at least one second early, because `_format` may add a fraction."""
        age = timedelta(seconds=self._below(int(DATE_RANGE.total_seconds())))  # always drawn: keeps the sequence equal
        latest = self._now() if self._until is None else self._until - age
        return latest.replace(microsecond=0) - _SECOND

    def _delivery(self, place: words.Place) -> Document:
        first, last = self._pick(words.FIRST_NAMES), self._pick(words.LAST_NAMES)
        return {
            "name": f"{first} {last}",
            "phone": place.phone_prefix + self._digits(place.phone_digits),
            "zip": place.zip_prefix + self._digits(place.zip_digits),
            "city": place.city,
            "address": self._address(place),
            "region": place.region,
            "email": f"buyer.{self._below(1_000_000)}@{self._pick(words.MAIL_DOMAINS)}",
        }

    def _address(self, place: words.Place) -> str:
        return f"{place.street} {1 + self._below(199)}"

    def _payment(self, uid: str, currency: str, created: datetime, items: Sequence[Document]) -> Document:
        payment = {
            "transaction": uid,
            "currency": currency,
            "provider": self._pick(words.PROVIDERS),
            "payment_dt": int(created.timestamp()) - self._below(MAX_PAYMENT_AGE_SECONDS),
            "bank": self._pick(words.BANKS),
        }
        totals = _totals(items, self._pick(words.DELIVERY_COSTS), self._pick(words.CUSTOM_FEES))
        return payment | totals | self._optional("request_id", 16)

    def _items(self, track: str) -> list[Document]:
        return [self._item(track) for _ in range(self._pick(words.ITEM_COUNTS))]

    def _item(self, track: str) -> Document:
        product, sale = self._pick(words.PRODUCTS), self._pick(words.SALES)
        return {
            "chrt_id": 1_000_000 + self._below(9_000_000),
            "track_number": track,
            "price": product.price,
            "rid": self._hex(21),
            "name": product.name,
            "sale": sale,
            "size": self._pick(product.sizes),
            "total_price": product.price * (100 - sale) // 100,
            "nm_id": product.nm_id,
            "brand": product.brand,
            "status": self._pick(words.STATUSES),
        }

    def _optional(self, field: str, length: int) -> Document:
        """Return an optional field: absent, null, empty or with a value."""
        return self._pick(({}, {field: None}, {field: ""}, {field: self._hex(length)}))

    def _format(self, timestamp: datetime) -> str:
        """Return RFC 3339, mostly in UTC, sometimes with a fraction or another time zone."""
        fraction, zone = self._pick(words.FRACTIONS), self._pick(words.ZONES)
        return timestamp.astimezone(_ZONES[zone]).isoformat()[: len("2021-11-26T06:22:19")] + fraction + zone

    def _pick(self, choices: Sequence[T]) -> T:
        return choices[int(self._random() * len(choices))]

    def _below(self, limit: int) -> int:
        return int(self._random() * limit)

    def _digits(self, count: int) -> str:
        return f"{self._below(10**count):0{count}}"

    def _hex(self, count: int) -> str:
        """Return `count` hexadecimal digits from two random numbers. The 53 bits of one would collide among 10^7."""
        right = count // 2
        return f"{self._below(16 ** (count - right)):0{count - right}x}{self._below(16**right):0{right}x}"


def _totals(items: Sequence[Document], delivery_cost: int, custom_fee: int) -> Document:
    goods = sum(item["total_price"] for item in items)
    return {
        "amount": goods + delivery_cost + custom_fee,
        "delivery_cost": delivery_cost,
        "goods_total": goods,
        "custom_fee": custom_fee,
    }
