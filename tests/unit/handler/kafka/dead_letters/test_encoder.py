"""A dead letter keeps its message, and the first origin of it."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from msgspec.json import decode

from service.entities.dead_letter import DeadLetter, Reason, Stub
from service.entities.dead_letter_headers import Header, Headers, read_origin
from service.entities.record import Record
from service.handler.kafka.dead_letters.encoder import DeadLetterEncoder

ENCODER = DeadLetterEncoder("group")
FIRST: Headers = [
    (Header.TOPIC, b"first"), (Header.PARTITION, b"3"), (Header.OFFSET, b"8"), (Header.TIMESTAMP, b"900"),
]  # fmt: skip


def dead_letter(headers: Headers, attempts: int = 1) -> DeadLetter:
    record = Record("orders", 2, 7, 1_000, b"key", b"faulty", headers)
    return DeadLetter(record, Reason.REJECTED, "sm_id: is missing", attempts)


def test_key_value_and_original_headers_are_unchanged() -> None:
    original: Headers = [("trace", b"\0\xff"), ("trace", None)]
    payload = ENCODER.encode(dead_letter([*original, (Header.REASON, b"invalid")]))
    assert (payload.key, payload.value, payload.headers[:3]) == (
        b"key", b"faulty", [*original, (Header.REASON, b"rejected")],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "origin"),
    [
        ([], (1_000, 2, 7, "orders")),
        (FIRST, (900, 3, 8, "first")),
        ([*FIRST[:3], (Header.TIMESTAMP, b"-1")], (1_000, 2, 7, "orders")),
    ],
)
def test_the_first_origin_is_kept_unless_it_is_forged(headers: Headers, origin: tuple[int, int, int, str]) -> None:
    for encode in (ENCODER.encode, *ENCODER.fallbacks):
        assert read_origin([*encode(dead_letter(headers)).headers]) == origin


def test_the_headers_say_why_when_and_how_often_it_failed() -> None:
    before = datetime.now(UTC)
    added = dict(ENCODER.encode(dead_letter([(Header.REPLAYS, b"2")], attempts=4)).headers)
    failed_at = datetime.fromisoformat((added.pop(Header.FAILED_AT) or b"").decode())
    assert before - timedelta(milliseconds=1) <= failed_at <= datetime.now(UTC)
    assert added == {
        Header.REASON: b"rejected",
        Header.DETAIL: b"sm_id: is missing",
        Header.TOPIC: b"orders",
        Header.PARTITION: b"2",
        Header.OFFSET: b"7",
        Header.TIMESTAMP: b"1000",
        Header.GROUP: b"group",
        Header.ATTEMPTS: b"4",
        Header.REPLAYS: b"2",
    }


@pytest.mark.parametrize("value", [b"faulty", None])
def test_a_stub_names_its_record_and_has_the_size_and_hash_of_the_value(value: bytes | None) -> None:
    large = dead_letter([])
    large = large._replace(record=large.record._replace(value=value))
    content = value or b""
    for encode in ENCODER.fallbacks:
        stub = decode(encode(large).value or b"", type=Stub)
        assert stub == Stub("orders", 2, 7, len(content), sha256(content).hexdigest())


def test_a_stub_is_marked_and_a_bare_one_has_no_key_and_no_original_headers() -> None:
    large = dead_letter([("trace", b"1")])
    stub, bare = (encode(large) for encode in ENCODER.fallbacks)
    for payload in (stub, bare):
        assert payload.item is large
        assert (Header.STUB, b"true") in payload.headers
    assert (stub.key, bare.key) == (b"key", None)
    assert ["trace" in dict(payload.headers) for payload in (stub, bare)] == [True, False]
