"""Valid orders, drawn from a seeded source of randomness."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from generator import vocabulary as words

Document = dict[str, Any]
Random = Callable[[], float]
"""`random.Random(seed).random`: the one method whose sequence Python promises to keep across versions."""

T = TypeVar("T")

DATE_RANGE: Final = timedelta(days=30)
"""Orders are dated within so long before the end of their dates."""
MAX_PAYMENT_AGE_SECONDS: Final = 900
"""An order is paid so many seconds at most before it is created."""
_SECOND: Final = timedelta(seconds=1)
_ZONES: Final = {zone: datetime.fromisoformat(f"2021-11-26T06:22:19{zone}").tzinfo for zone in words.ZONES}

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def encoded(document: Document) -> bytes:
    """Compact JSON in UTF-8, keys in the document's order."""
    return _encode(document).encode()


def utc_now() -> datetime:
    return datetime.now(UTC)


class Orders:
    """Draws one order after the other; all of them are valid, and their amounts add up by both cross-field rules.

    No date is after `until`. Without it each order is created as it is drawn, by the clock `now`.
    """

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
            "date_created": self._written(created),
            "oof_shard": str(self._below(3)),
        }
        return order | self._optional("internal_signature", 24)

    def revised(self, order: Document) -> Document:
        """Another version of the same order: a new address and other items, so that rows are added and go away."""
        items, payment = self._items(order["track_number"]), order["payment"]
        address = {"address": self._address(self._pick(words.PLACES))}
        return order | {
            "delivery": order["delivery"] | address,
            "payment": payment | _totals(items, payment["delivery_cost"], payment["custom_fee"]),
            "items": items,
        }

    def _created(self) -> datetime:
        """Return whole seconds, at least one before the end: a fraction may be added."""
        age = timedelta(seconds=self._below(int(DATE_RANGE.total_seconds())))  # drawn even where it is not needed
        end = self._now() if self._until is None else self._until - age
        return end.replace(microsecond=0) - _SECOND

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
        """Absent, empty and filled are three different things, and all of them valid; null is the same as absent."""
        return self._pick(({}, {field: None}, {field: ""}, {field: self._hex(length)}))

    def _written(self, moment: datetime) -> str:
        """RFC 3339, mostly in UTC, at times with a fraction or another zone."""
        fraction, zone = self._pick(words.FRACTIONS), self._pick(words.ZONES)
        return moment.astimezone(_ZONES[zone]).isoformat()[: len("2021-11-26T06:22:19")] + fraction + zone

    def _pick(self, choices: Sequence[T]) -> T:
        return choices[int(self._random() * len(choices))]

    def _below(self, limit: int) -> int:
        return int(self._random() * limit)

    def _digits(self, count: int) -> str:
        return f"{self._below(10**count):0{count}}"

    def _hex(self, count: int) -> str:
        """`count` hexadecimal digits of two draws, for one holds 53 bits: too few to never repeat among 10^7."""
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
