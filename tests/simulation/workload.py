"""The records of the order topic, and when they are produced."""

from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Final

from msgspec.json import encode

from tests.kit.factories import order_document
from tests.kit.fakes import POISON

SECONDS: Final = 12.0
"""How long the producer runs."""
FLOOD_SECONDS: Final = (3.5, 7.0)
"""When a flood of bad messages begins and ends."""
MAX_DEAD_LETTER_BYTES: Final = 4_000
"""max.message.bytes of the dead-letter topic: more than any other message has."""
MAX_MESSAGE_BYTES: Final = 2 * MAX_DEAD_LETTER_BYTES + 200
_ORDER: Final = encode(order_document(order_uid="<uid>", customer_id="<customer>"))
_INVALID: Final = encode(order_document(order_uid="<uid>", items=[{"price": -1}]))


def is_in_flood(at: float) -> bool:
    return FLOOD_SECONDS[0] <= at <= FLOOD_SECONDS[1]


class Kind(Enum):
    __hash__ = object.__hash__  # that of Enum takes long

    ORDER = "order"
    POISON = "order that PostgreSQL rejects"
    INVALID = "invalid order"
    UNDECODABLE = "no JSON"
    LARGE = "no JSON, and larger than a dead letter may be"
    TOMBSTONE = "tombstone"

    @property
    def is_bad(self) -> bool:
        return self in {Kind.POISON, Kind.INVALID, Kind.UNDECODABLE, Kind.LARGE}

    @property
    def names_order(self) -> bool:
        """Whether a reader finds out to which order it belongs."""
        return self in {Kind.ORDER, Kind.POISON, Kind.INVALID}


@dataclass(frozen=True, slots=True)
class Item:
    """A record. `timestamp_ms` identifies it. Items of one `transaction` are produced in one."""

    at: float
    partition: int
    kind: Kind
    uid: str
    timestamp_ms: int

    def __str__(self) -> str:
        return f"{self.kind.value} {self.uid} in partition {self.partition} with timestamp {self.timestamp_ms}"

    @property
    def value(self) -> bytes | None:
        match self.kind:
            case Kind.TOMBSTONE:
                return None
            case Kind.UNDECODABLE:
                return b"\0{"
            case Kind.LARGE:
                return b"{" * 2 * MAX_DEAD_LETTER_BYTES
            case Kind.INVALID:
                return _INVALID.replace(b"<uid>", self.uid.encode())
            case Kind.POISON:
                return _order(self.uid, POISON)
            case Kind.ORDER:
                return self.valid_value

    @property
    def valid_value(self) -> bytes:
        """A document of the same order that is stored."""
        return _order(self.uid, "test")


def _order(uid: str, customer: str) -> bytes:
    return _ORDER.replace(b"<uid>", uid.encode()).replace(b"<customer>", customer.encode())


def uid_of(number: int, records: int) -> str:
    """Return an order of a workload with so many records."""
    return f"order-{number % max(records // 3, 1)}"


def workload(random: Random, records: int, partitions: int, flood: Kind | None) -> list[Item]:
    """Return records in the order of their time. Their versions are in another order. `flood`: of bad ones."""
    kinds = random.choices([*Kind], weights=(70, 4, 6, 4, 2, 4), k=records)
    times = sorted(random.uniform(0, SECONDS) for _ in range(records))
    if random.random() < 0.5:  # bursts, so that batches are full
        times = sorted(round(each / 4) * 4 for each in times)
    if flood is not None:
        kinds = [flood if is_in_flood(at) else kind for at, kind in zip(times, kinds, strict=True)]
    timestamps = random.sample(range(1, 50 * records), records)
    return [
        Item(at, random.randrange(partitions), kind, uid_of(random.randrange(max(records // 3, 1)), records), timestamp)
        for at, kind, timestamp in zip(times, kinds, timestamps, strict=True)
    ]
