"""`orders check` compares expected with found orders and dead letters."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka import Message

from generator.compare import DeadLetterCounts, OrderCounts, compare_dead_letters, compare_orders
from generator.expected import dead_letter_digest, expected_result, infer_until, order_digest
from generator.stream import UPDATE, VALID, Plan, stream
from service.entities.dead_letter import Reason
from service.entities.dead_letter_headers import Header
from tests.kit.factories import order_document

ORDER = order_document(order_uid="one")
EXPECTED_ORDERS = {"one": order_digest(ORDER)}
DEAD_LETTER = dead_letter_digest(b"key", b"value")


def dead_letter(key: bytes = b"key", value: bytes | None = b"value", **headers: str) -> Message:
    fields = {"reason": "invalid", "topic": "orders", "partition": "0", "offset": "5", "timestamp": "1"} | headers
    names = {"reason": Header.REASON} | {name: f"dlq-original-{name}" for name in list(fields)[1:]}
    return Message(key=key, value=value, headers=[(names[name], text.encode()) for name, text in fields.items()])


def produced(plan: Plan) -> list[Message]:
    return [Message(key=each.key, value=each.value) for each in stream(plan)]


def dead_letters(*found: Message) -> Mapping[str, DeadLetterCounts]:
    return compare_dead_letters({DEAD_LETTER: Reason.INVALID}, found, "orders").rows


def test_the_newest_version_is_expected() -> None:
    plan = Plan(count=500, duplicates=0.2, stale=0.2, updates=0.2, tombstones=0.1)
    newest = {m.key.decode(): m.value for m in stream(plan) if m.kind in {VALID, UPDATE}}
    assert expected_result(plan).orders == {
        uid: order_digest(json.loads(value or b"")) for uid, value in newest.items()
    }


def test_every_fault_is_expected_once_with_its_reason() -> None:
    plan = Plan(count=500, invalid=0.5, tombstones=0.1)
    faults = [message.reason for message in stream(plan) if message.reason]
    assert sorted(expected_result(plan).dead_letters.values()) == sorted(faults)


@pytest.mark.parametrize("shares", [{}, {"invalid": 1.0}, {"invalid": 0.5, "updates": 0.3}])
@pytest.mark.parametrize("seed", range(5))
def test_until_is_inferred_from_the_first_orders_of_a_topic(shares: dict[str, Any], seed: int) -> None:
    plan = Plan(count=200, seed=seed, **shares)
    end = datetime(2031, 5, 5, 23, 59, 59, tzinfo=UTC)
    assert infer_until(plan, produced(replace(plan, until=end))) == end


def test_until_cannot_be_inferred_from_another_stream() -> None:
    assert infer_until(Plan(count=200, seed=1), produced(Plan(count=200, seed=2))) == Plan.until


def test_the_same_time_in_another_zone_is_the_same_order() -> None:
    assert order_digest(ORDER) == order_digest(ORDER | {"date_created": "2021-11-26T09:22:19.000+03:00"})


@pytest.mark.parametrize(
    "change",
    [
        {"date_created": "2021-11-26T06:22:19.000001Z"},
        {"items": []},
        {"items": [*ORDER["items"], ORDER["items"][0]]},
        {"sm_id": "99"},
        {"sm_id": True},
        {"internal_signature": "x"},
        {"entry": None},
        {"more": 1},
    ],
)
def test_any_other_content_is_another_order(change: dict[str, Any]) -> None:
    assert compare_orders(EXPECTED_ORDERS, [("one", ORDER | change)]) == OrderCounts(1, wrong_version=1)


def test_null_in_an_optional_field_equals_absent_but_not_empty() -> None:
    without = {name: value for name, value in ORDER.items() if name != "internal_signature"}
    assert order_digest(without | {"internal_signature": None}) == order_digest(without)
    assert order_digest(without | {"internal_signature": ""}) != order_digest(without)


def test_the_sequence_of_items_is_significant() -> None:
    first, second = ORDER["items"][0], ORDER["items"][0] | {"chrt_id": 1}
    assert order_digest(ORDER | {"items": [first, second]}) != order_digest(ORDER | {"items": [second, first]})


def test_a_stored_order_is_exact() -> None:
    counts = compare_orders(EXPECTED_ORDERS, [("one", ORDER)])
    assert counts == OrderCounts(1, stored=1)
    assert counts.exact


@pytest.mark.parametrize(
    ("rows", "counts"),
    [
        ([], OrderCounts(1, missing=1)),
        ([("one", ORDER), ("one", ORDER)], OrderCounts(1, stored=1, duplicated=1)),
        ([("one", ORDER), ("two", ORDER)], OrderCounts(1, stored=1, unexpected=1)),
        ([("one", {})], OrderCounts(1, wrong_version=1)),
    ],
)
def test_orders_that_are_not_exact(rows: list[tuple[str, Any]], counts: OrderCounts) -> None:
    found = compare_orders(EXPECTED_ORDERS, rows)
    assert found == counts
    assert not found.exact


def test_an_expired_order_may_be_missing_but_must_not_be_wrong() -> None:
    missing = compare_orders(EXPECTED_ORDERS, [], {"one"})
    assert (missing, missing.exact) == (OrderCounts(1, expired=1), True)
    assert compare_orders(EXPECTED_ORDERS, [("one", ORDER)], {"one"}) == OrderCounts(1, stored=1)
    wrong = compare_orders(EXPECTED_ORDERS, [("one", ORDER | {"more": 1})], {"one"})
    assert (wrong, wrong.exact) == (OrderCounts(1, wrong_version=1), False)


def test_orders_created_before_the_cutoff_are_expired() -> None:
    plan = Plan(count=500, updates=0.2)
    dates = {m.key.decode(): json.loads(m.value or b"")["date_created"] for m in stream(plan)}
    cutoff = datetime(2024, 12, 15, tzinfo=UTC)
    expired = {uid for uid, date in dates.items() if datetime.fromisoformat(date) < cutoff}
    assert 0 < len(expired) < len(dates)
    assert expected_result(plan, cutoff).expired == expired
    assert expected_result(plan).expired == set()


def test_a_dead_letter_is_exact() -> None:
    counts = dead_letters(dead_letter())["invalid"]
    assert counts == DeadLetterCounts(1, found=1)
    assert counts.is_exact(allow_repeated=False)


@pytest.mark.parametrize(
    ("found", "counts"),
    [
        ([], DeadLetterCounts(1, missing=1)),
        ([dead_letter(reason="undecodable")], DeadLetterCounts(1, wrong_reason=1)),
        ([dead_letter(), dead_letter(offset="6")], DeadLetterCounts(1, found=1, duplicated=1)),
        ([dead_letter(), dead_letter(key=b"other")], DeadLetterCounts(1, found=1, unexpected=1)),
        ([dead_letter(), dead_letter(value=None)], DeadLetterCounts(1, found=1, unexpected=1)),
        ([dead_letter(topic="elsewhere")], DeadLetterCounts(1, missing=1, unexpected=1)),
        ([dead_letter(offset="none")], DeadLetterCounts(1, missing=1, unexpected=1)),
    ],
)
def test_dead_letters_that_are_not_exact(found: list[Message], counts: DeadLetterCounts) -> None:
    assert dead_letters(*found)["invalid"] == counts
    assert not counts.is_exact(allow_repeated=True)


def test_repeated_dead_letters_are_allowed_only_after_a_crash() -> None:
    counts = dead_letters(dead_letter(), dead_letter())["invalid"]
    assert counts == DeadLetterCounts(1, found=1, repeated=1)
    assert counts.is_exact(allow_repeated=True)
    assert not counts.is_exact(allow_repeated=False)


def test_an_unexpected_dead_letter_is_counted_under_its_own_reason() -> None:
    assert dead_letters(dead_letter(key=b"other", reason="rejected"))["rejected"].unexpected == 1
    assert dead_letters(dead_letter(key=b"other", reason="mystery"))["mystery"].unexpected == 1
