"""Streams in each format have the orders and the faults of the plain stream."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

import pytest
from msgspec.json import decode

from generator.expected import expected_result
from generator.formats import FORMATS, JSON, MIXED, document_in, wrap
from generator.stream import Message, Plan, stream
from service.entities.dead_letter import Reason
from service.entities.order import Order
from service.entities.record import Record
from service.errors import DocumentRejected
from tests.kit.decoding import message_decoder

PLAN = Plan(count=240, seed=3, invalid=0.5, duplicates=0.05, updates=0.05, tombstones=0.1)
DECODER = message_decoder(now=lambda: datetime(2026, 1, 1, tzinfo=UTC))


def record(message: Message) -> Record:
    return Record("orders", 0, 0, 0, message.key, message.value, message.headers)


def outcome(message: Message) -> Order | Reason | None:
    """Return what the consumer makes of a message."""
    try:
        decoded = DECODER.decode(record(message))
    except DocumentRejected as rejection:
        return rejection.reason
    return decoded and decoded[0]


@cache
def plain_outcomes() -> list[tuple[Message, Order | Reason | None]]:
    return [(message, outcome(message)) for message in stream(PLAN)]


@pytest.mark.parametrize("message_format", FORMATS)
def test_a_message_has_the_same_outcome_in_each_format(message_format: str) -> None:
    for (plain, expected), message in zip(plain_outcomes(), stream(replace(PLAN, format=message_format)), strict=True):
        assert (message.key, message.kind, message.reason) == (plain.key, plain.kind, plain.reason)
        assert outcome(message) == expected, message


def test_the_expected_result_of_a_mixed_stream_has_the_same_orders() -> None:
    plain, expected = expected_result(PLAN), expected_result(replace(PLAN, format=MIXED))
    assert expected.orders == plain.orders
    assert sorted(expected.dead_letters.values()) == sorted(plain.dead_letters.values())


def test_a_mixed_stream_has_all_formats() -> None:
    plan = Plan(count=50, format=MIXED)
    others = [{(each.value, *each.headers) for each in stream(replace(plan, format=name))} for name in FORMATS[:-1]]
    found = {(each.value, *each.headers) for each in stream(plan)}
    assert all(found & other for other in others)


@pytest.mark.parametrize("message_format", FORMATS[:-1])
def test_a_wrapped_document_is_found_again(message_format: str) -> None:
    value, _ = wrap(b'{"order_uid":"a","entry":"\\"\\n"}', message_format)
    assert document_in(value) == {"order_uid": "a", "entry": '"\n'}


def test_plain_json_is_not_changed() -> None:
    assert [*stream(PLAN)] == [*stream(replace(PLAN, format=JSON))]
    assert decode(next(stream(PLAN)).value or b"") == document_in(next(stream(PLAN)).value)
