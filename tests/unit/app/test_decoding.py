"""The order of a dead letter, as the consumer reads it, decides whether an edited value may replace it."""

import gzip
from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.json import encode

from service.app.decoding import uid_reader
from service.config import DocumentSettings
from service.entities.dead_letter_headers import Header
from service.entities.dead_letter_record import DeadLetterRecord
from service.entities.subscription import Subscription
from service.usecases.ports.dead_letters import DeadLetterFilters
from service.usecases.ports.replay import EditedValue, ReplayRefusal
from service.usecases.replay import ReplayPlan

ALIASES = {"id": "order_uid", "order.id": "order_uid"}
ORDER = {"id": "a", "entry": "b", "customer_id": "key"}
OTHER = {"order_uid": "b", "id": "b"}


def wrapped(**fields: Any) -> bytes:
    return encode(fields)


def dead_letter(value: bytes, headers: Mapping[str, bytes]) -> DeadLetterRecord:
    origin = {Header.TOPIC: b"orders", Header.PARTITION: b"0", Header.OFFSET: b"1", Header.TIMESTAMP: b"1"}
    return DeadLetterRecord(0, 0, 0, b"key", value, [*headers.items(), *origin.items()])


CASES: Mapping[str, tuple[bytes, Mapping[str, bytes]]] = {
    "an alias": (encode(ORDER), {}),
    "an alias in a part": (wrapped(order=ORDER, items=[{"id": "b"}]), {}),
    "an alias in gzip": (gzip.compress(encode(ORDER), mtime=0), {}),
    "an alias in a CloudEvent": (wrapped(specversion="1.0", id="b", data=ORDER), {}),
    "an alias in a binary CloudEvent": (encode(ORDER), {"ce_specversion": b"1.0", "ce_id": b"b"}),
    "an alias in a change event": (wrapped(op="u", before=OTHER, after=ORDER), {}),
    "an alias in an outbox": (wrapped(id="b", payload=encode(ORDER).decode()), {}),
    "an alias in Connect's envelope": (wrapped(schema={"id": "b"}, payload=ORDER), {}),
    "a CloudEvent with an extension": (wrapped(specversion="1.0", payload=OTHER, data={"order_uid": "a"}), {}),
    "a change event in another envelope": (
        wrapped(op="c", after={"payload": {"order_uid": "a"}}, data=OTHER, payload=1),
        {},
    ),
    "the field beside its alias": (encode({"order_uid": "a", "id": "b"}), {}),
}


@pytest.mark.parametrize("order_uid", ["a", "b", "key"])
@pytest.mark.parametrize(("value", "headers"), CASES.values(), ids=CASES)
def test_an_edited_value_must_be_of_the_order_that_the_consumer_reads(
    value: bytes, headers: Mapping[str, bytes], order_uid: str
) -> None:
    plan = ReplayPlan(
        Subscription(("orders",)),
        DeadLetterFilters(),
        read_uid=uid_reader(DocumentSettings(aliases=ALIASES)),
        edited=EditedValue(b"edited", order_uid),
    )
    expected = None if order_uid == "a" else ReplayRefusal.OTHER_ORDER
    assert plan.refusal(dead_letter(value, headers)) == expected


@pytest.mark.parametrize(
    "value",
    [b"", b"null", b"{", b'{"id": "a"', b"[]", b"7", b'{"id": 7}', b"\x1f\x8b", b"\0\0\0\0\7a", b"[" * 10**5, b"\xff"],
)
def test_what_names_no_order_is_not_read(value: bytes) -> None:
    assert uid_reader(DocumentSettings(aliases=ALIASES))(dead_letter(value, {})) is None
