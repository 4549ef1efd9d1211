"""The checker of the fault scenarios detects every way in which a message can go wrong."""

from typing import Any

import pytest
from confluent_kafka import Message
from msgspec.json import encode

from service.entities.dead_letter import Reason
from service.entities.dead_letter_headers import Header, Headers
from tests.faults.checker import Checker, CheckResult, Row, Version
from tests.kit.factories import order_document

INVALID = b"invalid"


def message(
    value: bytes | None, offset: int = 0, timestamp_ms: int = 1_000, headers: Any = (), topic: str = "orders"
) -> Message:
    return Message(topic, 0, offset, b"key", value, [*headers], None, (1, timestamp_ms))


def order(number: int, offset: int, timestamp_ms: int = 1_000, topic: str = "orders") -> Message:
    return message(encode(order_document(order_uid="one", sm_id=number)), offset, timestamp_ms, topic=topic)


def row(number: int, offset: int, timestamp_ms: int = 1_000, uid: str = "one", topic: str = "orders") -> Row:
    return Row(uid, Version(timestamp_ms, topic, 0, offset), order_document(order_uid=uid, sm_id=number))


def dead_letter(
    offset: int, reason: str = "invalid", value: bytes = INVALID, headers: Headers | None = None
) -> Message:
    own = {
        Header.REASON: reason, Header.TOPIC: "orders", Header.PARTITION: "0",
        Header.OFFSET: str(offset), Header.TIMESTAMP: "1000",
    }  # fmt: skip
    return message(value, headers=[*(headers or []), *((name, text.encode()) for name, text in own.items())])


def check(topic: list[Message], rows: list[Row], dead_letters: list[Message], **options: Any) -> CheckResult:
    def expected_reason(record: Message) -> Reason | None:
        return Reason.INVALID if record.value() == INVALID else None

    checker = Checker(
        expected_reason, compare_by=options.pop("compare_by", "timestamp"), erased=options.pop("erased", ())
    )
    return checker.check(topic, rows, dead_letters, **options)


def test_a_correct_result_is_exact() -> None:
    topic = [order(1, 0), order(2, 1), order(2, 2), message(INVALID, 3), message(None, 4), order(9, 5, timestamp_ms=10)]
    found = check(topic, [row(2, 2)], [dead_letter(3)])
    assert found == CheckResult(produced=6, stored=1, unchanged=1, stale=2, dead_lettered=1, tombstones=1)
    assert found.is_exact
    assert found.accounted == found.produced


@pytest.mark.parametrize(
    ("rows", "dead_letters", "name"),
    [
        ([], [dead_letter(1)], "lost"),
        ([row(1, 0)], [], "lost"),
        ([row(1, 0), row(1, 0)], [dead_letter(1)], "duplicated"),
        ([row(2, 0)], [dead_letter(1)], "wrong_version"),
        ([row(1, 0, timestamp_ms=999)], [dead_letter(1)], "wrong_version"),
        ([row(1, 0)], [dead_letter(1, reason="rejected")], "wrong_dead_letter"),
        ([row(1, 0)], [dead_letter(1, value=b"other")], "wrong_dead_letter"),
        ([row(1, 0)], [dead_letter(1, headers=[("source", b"shop")])], "wrong_dead_letter"),
        ([row(1, 0)], [dead_letter(1), dead_letter(7)], "unexpected"),
        ([row(1, 0), row(1, 0, uid="two")], [dead_letter(1)], "unexpected"),
        ([row(1, 0)], [dead_letter(1), message(INVALID)], "unexpected"),
    ],
)
def test_each_kind_of_error_is_counted(rows: list[Row], dead_letters: list[Message], name: str) -> None:
    found = check([order(1, 0), message(INVALID, 1)], rows, dead_letters)
    assert getattr(found, name) == 1
    assert not found.is_exact


NUMBERS = (Header.PARTITION, Header.OFFSET, Header.TIMESTAMP)


@pytest.mark.parametrize(
    ("name", "value"), [(name, None) for name in (Header.TOPIC, *NUMBERS)] + [(name, b"-1") for name in NUMBERS]
)
def test_a_dead_letter_without_a_complete_origin_is_unexpected(name: str, value: bytes | None) -> None:
    complete: dict[str, bytes | None] = dict(dead_letter(1).headers() or ())  # type: ignore[arg-type]
    found = check([message(INVALID, 1)], [], [message(INVALID, headers=(complete | {name: value}).items())])
    assert (found.unexpected, found.lost) == (1, 1)


def test_a_repeated_dead_letter_is_an_error_only_with_exactly_once() -> None:
    topic, dead_letters = [message(INVALID, 0)], [dead_letter(0), dead_letter(0)]
    assert check(topic, [], dead_letters).is_exact
    assert check(topic, [], dead_letters).repeated == 1
    assert check(topic, [], dead_letters, exactly_once=True).duplicated == 1


def test_offsets_are_compared_first_where_configured() -> None:
    topic = [order(1, 0, timestamp_ms=2_000), order(2, 1, timestamp_ms=1_000)]
    assert check(topic, [row(1, 0, timestamp_ms=2_000)], []).is_exact
    assert check(topic, [row(2, 1, timestamp_ms=1_000)], [], compare_by="offset").is_exact


@pytest.mark.parametrize("compare_by", ["timestamp", "offset"])
@pytest.mark.parametrize(("timestamp_ms", "wins"), [(999, "orders.b"), (1_000, "orders.b"), (1_001, "orders.a")])
def test_the_later_timestamp_wins_across_topics_and_then_the_greater_name(
    timestamp_ms: int, wins: str, compare_by: str
) -> None:
    sent = [order(1, 9, timestamp_ms, "orders.a"), order(2, 3, 1_000, "orders.b")]
    rows = [row(1, 9, timestamp_ms, topic="orders.a"), row(2, 3, 1_000, topic="orders.b")]
    for each in rows:
        found = check(sent, [each], [], compare_by=compare_by)
        assert found.wrong_version == (each.version.topic != wins)


def test_dead_letters_of_another_topic_are_not_those_of_this_one() -> None:
    found = check([message(INVALID, 0, topic="orders.b")], [], [dead_letter(0)])
    assert (found.unexpected, found.lost) == (1, 1)


def test_a_replayed_order_has_its_original_version() -> None:
    replayed = message(encode(order_document(order_uid="one", sm_id=1)), 5, 9_000, headers=dead_letter(0).headers())
    topic = [message(INVALID, 0), order(2, 3, timestamp_ms=2_000), replayed]
    found = check(topic, [row(2, 3, timestamp_ms=2_000)], [dead_letter(0)])
    assert found.is_exact
    assert found.stale == 1


def test_an_erased_order_must_not_be_in_the_tables() -> None:
    topic = [order(1, 0), order(2, 1), message(INVALID, 2)]
    found = check(topic, [], [dead_letter(2)], erased={"one"})
    assert found == CheckResult(produced=3, erased=2, dead_lettered=1)
    assert found.is_exact
    assert found.accounted == found.produced
    assert check(topic, [row(2, 1)], [dead_letter(2)], erased={"one"}).unexpected == 1


def test_a_document_that_needs_a_schema_is_known_by_the_bytes_of_its_message() -> None:
    document = order_document(order_uid="one", sm_id=1)
    checker = Checker(lambda _: None, {b"\0avro": document})
    assert checker.check([message(b"\0avro")], [row(1, 0)], []) == CheckResult(produced=1, stored=1)


def test_a_dead_letter_has_the_headers_of_its_message() -> None:
    own: Headers = [("source", b"shop"), ("source", None)]
    found = check([message(INVALID, 1, headers=own)], [], [dead_letter(1, headers=own)])
    assert found == CheckResult(produced=1, dead_lettered=1)
