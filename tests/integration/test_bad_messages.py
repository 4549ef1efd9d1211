"""Good orders are stored, bad messages become dead letters, and no message is dropped."""

import json
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import chain, pairwise, zip_longest
from random import Random
from time import time
from typing import Any, NamedTuple

from confluent_kafka import Message
from confluent_kafka.cimpl import NewTopic
from msgspec.json import encode

from service.entities.dead_letter import Header, Headers
from tests.kit.factories import SAMPLE, Document, order_document
from tests.kit.harness import TIMEOUT_SECONDS, Harness, Sent, headers, metric, orders
from tests.kit.raw_producer import produce_with_header
from tests.kit.temporary import PARTITIONS
from tests.kit.waiting import eventually

MARK = "Zzyzx"
MARKED_NUMBER = 70_707_071
MARKS = re.compile(rb"zzyzx|70707071|9223372036854775808|18446744073709551616", re.IGNORECASE)
"""Values in every document that no header of a dead letter may contain."""

ITEM = SAMPLE["items"][0] | {"name": MARK, "brand": MARK, "price": MARKED_NUMBER}
RECEIVER = {"name": MARK, "city": MARK, "address": MARK, "email": f"{MARK}@{MARK}.org"}
MONEY = {"bank": MARK, "amount": MARKED_NUMBER}

ORIGINAL_HEADERS: Headers = [("traceparent", b"00-ab"), ("twice", b"1"), ("twice", b"\xff\x00"), ("null", None)]
MAX_MESSAGE_BYTES = 8 * 2**20
FLOOD = 2_500
"""More than the 1,000 consecutive messages that open the circuit breaker."""


def marked(**overrides: Any) -> Document:
    """Return a valid order with marks in every section, merged with `overrides` like `order_document`."""
    base = order_document(customer_id=MARK, delivery=RECEIVER, payment=MONEY, items=[ITEM])
    merged = {name: base[name] | value if isinstance(value, dict) else value for name, value in overrides.items()}
    return base | merged


def document(**overrides: Any) -> bytes:
    return encode(marked(**overrides))


def without(name: str) -> bytes:
    return encode({field: value for field, value in marked().items() if field != name})


def document_with_token(token: bytes, **overrides: Any) -> bytes:
    """Encode a document and replace the string `<token>` by raw bytes, which an encoder would not produce."""
    return document(**overrides).replace(b'"<token>"', token)


def city(token: bytes) -> bytes:
    return document_with_token(token, delivery={"city": "<token>"})


def amount(token: bytes) -> bytes:
    return document_with_token(token, payment={"amount": "<token>"})


def item(**overrides: Any) -> bytes:
    return document(items=[ITEM, ITEM | overrides])


class Bad(NamedTuple):
    value: bytes
    reason: str
    detail: str
    """Prefix of the detail: the invalid field, if there is one."""


def undecodable(value: bytes, detail: str = "malformed JSON") -> Bad:
    return Bad(value, "undecodable", detail)


def invalid(value: bytes, field: str) -> Bad:
    return Bad(value, "invalid", f"{field}: ")


BAD = [
    undecodable(document()[:400]),
    undecodable(f"{MARK}, thank you".encode()),
    undecodable(document() * 2),
    undecodable(document() + b"\0"),
    undecodable(b"\xef\xbb\xbf" + document()),
    undecodable(b"\0\0\0\0\7" + document()),
    undecodable(amount(b"NaN")),
    undecodable(amount(b"-Infinity")),
    undecodable(amount(b"1e400"), "a number is out of range"),
    undecodable(city(b'"Zzyzx \0"')),
    undecodable(city(b'"Zzyzx \xff"'), "not UTF-8"),
    undecodable(city(b'"\xed\xa0\x80"'), "not UTF-8"),
    undecodable(city(rb'"\ud83e"')),
    undecodable(document_with_token(b"[" * 32 + b"]" * 32, extra="<token>"), "nested too deeply"),
    undecodable(b'{"Zzyzx":' * 100_000, "nested too deeply"),
    Bad(b"true", "invalid", "Expected object"),
    Bad(b"[" + document() + b"]", "invalid", "Expected object"),
    Bad(b"70707071", "invalid", "Expected object"),
    Bad(b'"Zzyzx"', "invalid", "Expected object"),
    invalid(b"{}", "order_uid"),
    invalid(without("order_uid"), "order_uid"),
    invalid(without("delivery"), "delivery"),
    invalid(without("date_created"), "date_created"),
    invalid(encode(marked() | {"delivery": {"name": MARK}}), "delivery.phone"),
    invalid(document(items=[{"chrt_id": MARKED_NUMBER}]), "items[0].track_number"),
    invalid(document(items=[ITEM, {}]), "items[1].chrt_id"),
    invalid(document(locale=None), "locale"),
    invalid(document(customer_id=MARKED_NUMBER), "customer_id"),
    invalid(document(payment=MARK), "payment"),
    invalid(encode(marked() | {"items": {MARK: ITEM}}), "items"),
    invalid(document(payment={"amount": str(MARKED_NUMBER)}), "payment.amount"),
    invalid(document(order_uid=f"{MARK} {MARK}"), "order_uid"),
    invalid(document(order_uid=f"../{MARK}"), "order_uid"),
    invalid(document(order_uid=MARK * 13), "order_uid"),
    invalid(document(entry=MARK * 52), "entry"),
    invalid(document(track_number=""), "track_number"),
    invalid(document(delivery={"name": f"{MARK}\0"}), "delivery.name"),
    invalid(document(delivery={"phone": "70707071"}), "delivery.phone"),
    invalid(document(delivery={"email": f"{MARK}@{MARK}"}), "delivery.email"),
    invalid(document(payment={"currency": "zzyzx"}), "payment.currency"),
    invalid(document(payment={"delivery_cost": -MARKED_NUMBER}), "payment.delivery_cost"),
    invalid(document(payment={"amount": 2**63}), "payment.amount"),
    invalid(document(sm_id=2**64), "sm_id"),
    invalid(amount(b"70707071.5"), "payment.amount"),
    invalid(amount(b"70707071.0"), "payment.amount"),
    invalid(amount(b"70707071e1"), "payment.amount"),
    invalid(item(sale=101), "items[1].sale"),
    invalid(item(status=1_000), "items[1].status"),
    invalid(document(items=[]), "items"),
    invalid(document(items=[ITEM] * 1_001), "items"),
    invalid(document(date_created="9999-12-31T23:59:59Z"), "date_created"),
    invalid(document(date_created="2021-11-26T06:22:19"), "date_created"),
    invalid(document(date_created=MARK), "date_created"),
    Bad(document(extra=MARK * 210_000), "too-large", "larger than 1048576 bytes"),
]


def bad_messages() -> list[Sent]:
    """Return a message of each kind, with various keys and headers."""
    keys = [None, b"", b"\0\xff", b"Zzyzx"]
    began = int(time() * 1_000) - 60_000
    return [
        Sent(bad.value, keys[number % len(keys)], 0, began + number, ORIGINAL_HEADERS if number % 2 else [])
        for number, bad in enumerate(BAD)
    ]


def good_orders(count: int) -> list[Sent]:
    return orders([order_document() for _ in range(count)])


def uids(messages: Sequence[Sent]) -> set[str]:
    return {message.key.decode() for message in messages if message.key}


def interleaved(good: Sequence[Sent], bad: Sequence[Sent]) -> list[Sent]:
    """Return good and bad messages alternately, starting with a good one."""
    return [message for message in chain.from_iterable(zip_longest(good, bad)) if message]


def dlq_headers(dead_letter: Message) -> dict[str, str]:
    """Return the headers that the consumer added."""
    return {name: (value or b"").decode() for name, value in headers(dead_letter) if name.startswith(Header.PREFIX)}


def original(dead_letter: Message) -> tuple[bytes | None, bytes | None, Headers]:
    """Return value, key and original headers."""
    others = [(name, value) for name, value in headers(dead_letter) if not name.startswith(Header.PREFIX)]
    return dead_letter.value(), dead_letter.key(), others


def original_offset(dead_letter: Message) -> int:
    return int(dlq_headers(dead_letter)[Header.OFFSET])


def create_topic(harness: Harness, name: str) -> None:
    admin = harness.admin()
    admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result(TIMEOUT_SECONDS)


def delete_topic(harness: Harness, name: str) -> None:
    """Delete the topic and block until its metadata is gone."""
    admin = harness.admin()
    admin.delete_topics([name])[name].result(TIMEOUT_SECONDS)
    eventually(lambda: name not in admin.list_topics(timeout=TIMEOUT_SECONDS).topics, what=f"{name} is deleted")


# Bad messages among good ones


def test_bad_messages_among_good_orders_are_dead_lettered_once_and_unchanged(harness: Harness) -> None:
    harness.configure(harness.dead_letter_topic, max_message_bytes=MAX_MESSAGE_BYTES)
    good, bad = good_orders(len(BAD) + 1), bad_messages()
    harness.produce(*interleaved(good, bad))
    harness.consumer()
    harness.wait_committed({0: len(good) + len(bad)})
    dead_letters = harness.dead_letters()
    assert harness.stored() == uids(good)
    assert_in_order(dead_letters)
    dead_letters.sort(key=original_offset)
    assert [original(dead_letter) for dead_letter in dead_letters] == [
        (each.value, each.key, [*each.headers]) for each in bad
    ]
    assert [original_offset(dead_letter) for dead_letter in dead_letters] == list(range(1, 2 * len(bad), 2))
    for dead_letter, expected in zip(dead_letters, BAD, strict=True):
        assert dlq_headers(dead_letter)[Header.REASON] == expected.reason
        assert dlq_headers(dead_letter)[Header.DETAIL].startswith(expected.detail)
        assert MARKS.search(repr(dlq_headers(dead_letter)).encode()) is None


def assert_in_order(dead_letters: Sequence[Message]) -> None:
    for partition in range(PARTITIONS):
        offsets = [original_offset(dead_letter) for dead_letter in dead_letters if dead_letter.partition() == partition]
        assert offsets == sorted(offsets)


def test_bad_messages_do_not_delay_their_neighbors(harness: Harness) -> None:
    """Each message is a batch of its own, so that the times of its neighbors bound its processing time."""
    harness.configure(harness.dead_letter_topic, max_message_bytes=MAX_MESSAGE_BYTES)
    good, bad = good_orders(len(BAD) + 1), bad_messages()
    harness.produce(*interleaved(good, bad))
    harness.consumer(ORDERS_BATCH__MAX_MESSAGES="1")
    harness.wait_committed({0: len(good) + len(bad)})
    stored = dict(harness.query("SELECT source_offset, stored_at FROM orders"))
    failed = {
        original_offset(dead_letter): datetime.fromisoformat(dlq_headers(dead_letter)[Header.FAILED_AT])
        for dead_letter in harness.dead_letters()
    }
    times = [finished_at for _, finished_at in sorted((stored | failed).items())]
    assert len(times) == len(good) + len(bad)
    assert len(set(stored.values())) == len(good)
    assert max(later - earlier for earlier, later in pairwise(times)) < timedelta(seconds=1)


def test_tombstones_are_counted_and_not_dead_lettered(harness: Harness) -> None:
    good = good_orders(2)
    harness.produce(good[0], Sent(None, b"key"), Sent(b"", b"key"), Sent(b" null\n", b"key"), good[1], Sent(None, None))
    service = harness.consumer()
    harness.wait_committed({0: 6})
    assert metric(service, "orders_tombstones_total") == 4
    assert metric(service, "orders_dead_letters_total") == 0
    assert harness.stored() == uids(good)
    assert harness.dead_letters() == []


# Headers of dead letters


def test_the_headers_of_a_dead_letter_give_origin_and_reason(harness: Harness) -> None:
    timestamp_ms = int(time() * 1_000) - 5_000
    partition = 1
    harness.produce(*orders([order_document(), order_document()], partition))
    harness.produce(Sent(item(sale=101), b"key", partition, timestamp_ms, ORIGINAL_HEADERS))
    harness.consumer()
    harness.wait_committed({partition: 3})
    (dead_letter,) = harness.dead_letters()
    failed_at = dlq_headers(dead_letter).pop(Header.FAILED_AT)
    assert headers(dead_letter)[: len(ORIGINAL_HEADERS)] == ORIGINAL_HEADERS
    assert dlq_headers(dead_letter) == {
        "dlq-reason": "invalid",
        "dlq-detail": "items[1].sale: Expected int <= 100",
        "dlq-original-topic": harness.topic,
        "dlq-original-partition": "1",
        "dlq-original-offset": "2",
        "dlq-original-timestamp": str(timestamp_ms),
        "dlq-consumer-group": harness.settings["ORDERS_KAFKA__GROUP_ID"],
        "dlq-failed-at": failed_at,
        "dlq-attempts": "1",
        "dlq-replays": "0",
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", failed_at)
    assert abs(datetime.fromisoformat(failed_at).timestamp() - time()) < 60
    assert [name for name, _ in headers(dead_letter)] == [
        *(name for name, _ in ORIGINAL_HEADERS),
        *dlq_headers(dead_letter),
    ]


EARLIER_HEADERS: Headers = [
    ("dlq-reason", b"rejected"), ("dlq-reason", b"too-large"), ("traceparent", b"00-ab"),
    ("dlq-detail", b"PostgreSQL rejected the data"), ("dlq-original-topic", b"first"), ("dlq-original-partition", b"7"),
    ("dlq-original-offset", b"4711"), ("dlq-original-timestamp", b"1700000000000"), ("dlq-consumer-group", b"others"),
    ("dlq-failed-at", b"2023-11-14T22:13:20.000Z"), ("dlq-attempts", b"9"), ("dlq-replays", b"2"),
    ("dlq-stub", b"true"), ("dlq-of-others", b"1"),
]  # fmt: skip


def test_headers_of_an_earlier_dead_letter_are_replaced_except_for_the_first_origin(harness: Harness) -> None:
    harness.produce(Sent(document(sm_id=-1), headers=EARLIER_HEADERS))
    harness.consumer()
    harness.wait_committed({0: 1})
    (dead_letter,) = harness.dead_letters()
    assert [name for name, _ in headers(dead_letter)] == ["traceparent", *dlq_headers(dead_letter)]
    assert dlq_headers(dead_letter).pop(Header.FAILED_AT) > "2026"
    assert dlq_headers(dead_letter) | {Header.FAILED_AT: ""} == {
        "dlq-reason": "invalid",
        "dlq-detail": "sm_id: Expected int >= 0",
        "dlq-original-topic": "first",
        "dlq-original-partition": "7",
        "dlq-original-offset": "4711",
        "dlq-original-timestamp": "1700000000000",
        "dlq-consumer-group": harness.settings["ORDERS_KAFKA__GROUP_ID"],
        "dlq-failed-at": "",
        "dlq-attempts": "1",
        "dlq-replays": "2",
    }


FORGED_HEADERS = [
    ("dlq-original-topic", b"a\0b"), ("dlq-original-topic", b"x" * 30_000), ("dlq-original-topic", b"\xff"),
    ("dlq-original-partition", b"%d" % 2**31), ("dlq-original-partition", b"9" * 30),
    ("dlq-original-offset", b"9" * 19), ("dlq-original-offset", b"-1"), ("dlq-original-timestamp", b"1e400"),
]  # fmt: skip


def test_a_forged_origin_is_ignored_and_delays_nothing(harness: Harness) -> None:
    harness.configure(harness.dead_letter_topic, max_message_bytes=20_000)
    origins = [[*dict(EARLIER_HEADERS, **{name: value}).items()] for name, value in FORGED_HEADERS]
    good = [sent._replace(headers=each) for sent, each in zip(good_orders(len(origins)), origins, strict=True)]
    bad = [Sent(b"hello", b"key", headers=each) for each in origins]
    harness.produce(*good, *bad)
    harness.consumer()
    harness.wait_committed({0: len(good) + len(bad)})
    assert harness.stored() == uids(good)
    assert [dlq_headers(dead_letter)[Header.TOPIC] for dead_letter in harness.dead_letters()] == [harness.topic] * len(
        bad
    )


def test_a_header_name_that_is_not_utf_8_drops_only_the_headers(harness: Harness) -> None:
    good = good_orders(102)
    harness.produce(*good[:100])  # the interpreter specializes its calls of the client after that many
    for value in (good[100].value, b"hello"):
        produce_with_header(harness.bootstrap_servers, harness.topic, value or b"", b"\xff\xfe")
    harness.produce(good[101])
    service = harness.consumer()
    harness.wait_committed({0: 103})
    assert harness.stored() == uids(good)
    assert [original(dead_letter) for dead_letter in harness.dead_letters()] == [(b"hello", None, [])]
    assert metric(service, "orders_unreadable_headers_total") == 2


# Limits of the dead-letter topic


def test_a_message_too_large_for_the_dead_letter_topic_becomes_a_stub(harness: Harness) -> None:
    harness.configure(harness.dead_letter_topic, max_message_bytes=20_000)
    noise = Random(3).randbytes(30_000)  # noqa: S311 - incompressible
    large = [
        Sent(document(sm_id=-1, extra=noise.hex()), b"key", headers=ORIGINAL_HEADERS),
        Sent(document(extra=MARK * 210_000), b"key"),
        Sent(b"hello", noise, headers=ORIGINAL_HEADERS),
        Sent(b"hello", b"key", headers=[("noise", noise)]),
    ]
    small = [Sent(document(sm_id=-1), b"key"), Sent(document()[:400], b"key")]
    good = good_orders(3)
    harness.produce(good[0], small[0], *large[:2], good[1], small[1], *large[2:], good[2])
    harness.consumer()
    harness.wait_committed({0: 9})
    dead_letters = sorted(harness.dead_letters(), key=original_offset)
    stubs = [dead_letter for dead_letter in dead_letters if is_stub(dead_letter)]
    assert harness.stored() == uids(good)
    assert [original(dead_letter) for dead_letter in dead_letters if dead_letter not in stubs] == [
        (each.value, b"key", []) for each in small
    ]
    assert [json.loads(stub.value() or b"") for stub in stubs] == [
        expected_stub(harness, each, offset) for each, offset in zip(large, (2, 3, 6, 7), strict=True)
    ]
    assert [dlq_headers(stub)[Header.REASON] for stub in stubs] == [
        "invalid",
        "too-large",
        "undecodable",
        "undecodable",
    ]
    assert [original(stub)[1:] for stub in stubs] == [(b"key", ORIGINAL_HEADERS), (b"key", []), (None, []), (None, [])]


def is_stub(dead_letter: Message) -> bool:
    return dlq_headers(dead_letter).get(Header.STUB) == "true"


def expected_stub(harness: Harness, message: Sent, offset: int) -> dict[str, Any]:
    value = message.value or b""
    return {
        "original_topic": harness.topic,
        "original_partition": 0,
        "original_offset": offset,
        "size": len(value),
        "sha256": sha256(value).hexdigest(),
    }


def test_without_a_dead_letter_topic_the_consumer_waits_until_it_is_created(harness: Harness) -> None:
    delete_topic(harness, harness.dead_letter_topic)
    good = good_orders(2)
    bad = Sent(b"hello", b"key")
    harness.produce(bad, *good)
    service = harness.consumer(ORDERS_RETRY__MAX_BACKOFF="200ms")
    (failed, *_) = eventually(lambda: service.logged("producing dead letters failed"), 20, "a failed attempt")
    assert service.logged("topic is missing")[0]["topic"] == harness.dead_letter_topic
    assert f"cannot produce to {harness.dead_letter_topic}: unknown" in failed["problem"]
    assert harness.committed() == {}
    assert metric(service, "orders_dead_letter_retries_total") >= 1
    create_topic(harness, harness.dead_letter_topic)
    harness.wait_committed({0: 3})
    assert harness.stored() == uids(good)
    assert [original(dead_letter) for dead_letter in harness.dead_letters()] == [(b"hello", b"key", [])]


def test_no_dead_letter_is_lost_if_the_dead_letter_topic_is_deleted_and_recreated(harness: Harness) -> None:
    good = good_orders(4)
    service = harness.consumer(ORDERS_RETRY__MAX_BACKOFF="200ms")
    harness.produce(Sent(b"before", b"key"), good[0])
    harness.wait_committed({0: 2})
    delete_topic(harness, harness.dead_letter_topic)
    harness.produce(Sent(b"meanwhile", b"key"), *good[1:])
    eventually(lambda: service.logged("producing dead letters failed"), 20, "a failed attempt")
    assert harness.committed() == {0: 2}
    create_topic(harness, harness.dead_letter_topic)
    harness.wait_committed({0: 6})
    assert harness.stored() == uids(good)
    assert [dead_letter.value() for dead_letter in harness.dead_letters()] == [b"meanwhile"]


# Orders that PostgreSQL rejects

REJECT_SOME = """
    ALTER TABLE orders ADD CONSTRAINT no_poison CHECK (left(order_uid, 6) <> 'poison');
    ALTER TABLE items ALTER COLUMN brand TYPE varchar(20);
    ALTER TABLE payments ALTER COLUMN request_id SET NOT NULL;
    CREATE FUNCTION reject() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION USING MESSAGE = NEW.city; END $$;
    CREATE TRIGGER reject BEFORE INSERT ON deliveries FOR EACH ROW WHEN (NEW.city = 'Zzyzx') EXECUTE FUNCTION reject();
"""
REJECT_ALL = """
    CREATE FUNCTION reject() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
    CREATE TRIGGER reject BEFORE INSERT ON deliveries FOR EACH ROW EXECUTE FUNCTION reject();
"""
REJECTED = "PostgreSQL rejected the data (SQLSTATE {}) at {}"


def poison(count: int) -> list[Sent]:
    return orders([order_document(order_uid=f"poison-{number}") for number in range(count)])


def test_the_detail_of_a_rejected_order_contains_no_value(harness: Harness) -> None:
    harness.query(REJECT_SOME)
    no_request = order_document()
    del no_request["payment"]["request_id"]
    rejected = [
        *poison(1),
        *orders([order_document(items=[ITEM | {"brand": MARK * 5}])]),
        *orders([no_request]),
        *orders([order_document(delivery={"city": MARK})]),
    ]
    service = harness.consumer()
    for number, message in enumerate(rejected, start=1):
        harness.produce(message)
        harness.wait_committed({0: number})
    dead_letters = sorted(harness.dead_letters(), key=original_offset)
    assert [(dead_letter.value(), dead_letter.key()) for dead_letter in dead_letters] == [
        (each.value, each.key) for each in rejected
    ]
    assert {dlq_headers(dead_letter)[Header.REASON] for dead_letter in dead_letters} == {"rejected"}
    assert [dlq_headers(dead_letter)[Header.DETAIL] for dead_letter in dead_letters] == [
        REJECTED.format("23514", "orders no_poison"),
        REJECTED.format("22001", "items.brand"),
        REJECTED.format("23502", "payments.request_id"),
        REJECTED.format("P0001", "deliveries"),
    ]
    assert harness.stored() == set()
    assert not re.search(f"{MARK}|poison-", service.log.read_text())


def test_of_2000_orders_only_the_50_rejected_by_postgresql_are_dead_lettered(harness: Harness) -> None:
    harness.query(REJECT_SOME)
    good, bad = good_orders(1_950), poison(50)
    scattered = [message for number, each in enumerate(bad) for message in (*good[number::50], each)]
    harness.produce(*scattered)
    service = harness.consumer()
    harness.wait_committed({0: 2_000})
    dead_letters = harness.dead_letters()
    assert harness.stored() == uids(good)
    assert sorted(dead_letter.key() or b"" for dead_letter in dead_letters) == sorted(each.key or b"" for each in bad)
    assert {dlq_headers(dead_letter)[Header.DETAIL] for dead_letter in dead_letters} == {
        REJECTED.format("23514", "orders no_poison")
    }
    assert metric(service, "orders_dead_letters_total", reason="rejected") == 50
    assert metric(service, "orders_circuit_breaker_open") == 0


def test_while_postgresql_rejects_every_order_the_circuit_breaker_is_open(
    harness: Harness,
) -> None:
    harness.query("ALTER TABLE orders ADD CONSTRAINT reject_all CHECK (false)")
    good = good_orders(30)
    harness.produce(*good)
    service = harness.consumer(ORDERS_CIRCUIT_BREAKER__MIN_REJECTED="1", ORDERS_CIRCUIT_BREAKER__RETRY_AFTER="200ms")
    eventually(lambda: len(service.logged("the circuit breaker is open")) > 2, what="a second probe")
    assert "PostgreSQL rejected the last" in service.logged("the circuit breaker is open")[0]["problem"]
    assert "constraint" in service.logged("the circuit breaker is open")[0]["hint"]
    assert metric(service, "orders_circuit_breaker_open") == 1
    assert harness.committed() == {}
    harness.query("ALTER TABLE orders DROP CONSTRAINT reject_all")
    harness.wait_committed({0: 30})
    assert harness.stored() == uids(good)
    assert harness.dead_letters() == []
    assert metric(service, "orders_circuit_breaker_open") == 0


def test_small_batches_rejected_by_a_trigger_wait_and_are_stored_once_it_is_dropped(harness: Harness) -> None:
    """The batches are much smaller than the number of rejections that opens the circuit breaker."""
    harness.query(REJECT_ALL)
    good = good_orders(60)
    service = harness.consumer(ORDERS_BATCH__MAX_MESSAGES="3", ORDERS_CIRCUIT_BREAKER__RETRY_AFTER="200ms")
    harness.produce(*good)
    eventually(lambda: len(service.logged("the circuit breaker is open")) > 2, what="a second probe")
    first_waiting = harness.committed().get(0, 0)
    assert first_waiting == len(harness.dead_letters()) < 10
    harness.query("DROP TRIGGER reject ON deliveries")
    harness.wait_committed({0: 60})
    assert harness.stored() == uids(good[first_waiting:])
    assert len(harness.dead_letters()) == first_waiting
    assert metric(service, "orders_circuit_breaker_open") == 0


def test_orders_behind_permanently_rejected_orders_are_stored(
    harness: Harness,
) -> None:
    """Rejected orders alone open the circuit breaker; each probe continues after the last one and skips nothing."""
    harness.query(REJECT_SOME)
    bad = poison(75)
    harness.produce(*bad[:40])
    harness.produce(*[each._replace(partition=1) for each in bad[40:]])
    service = harness.consumer(ORDERS_CIRCUIT_BREAKER__MIN_REJECTED="1", ORDERS_CIRCUIT_BREAKER__RETRY_AFTER="200ms")
    eventually(
        lambda: len(service.logged("the circuit breaker is open")) > 5,
        what="probes reach the end and start over",
    )
    assert (harness.committed(), harness.dead_letters()) == ({}, [])
    good = good_orders(500)
    invalid = [Sent(b"hello", b"key")] * 3
    harness.produce(*invalid, *good)
    harness.wait_committed({0: 543, 1: 35})
    assert harness.stored() == uids(good)
    dead_letters = harness.dead_letters()
    assert sorted(dead_letter.key() or b"" for dead_letter in dead_letters) == sorted(
        each.key or b"" for each in [*bad, *invalid]
    )
    assert metric(service, "orders_stored_total") == len(good)
    assert metric(service, "orders_circuit_breaker_open") == 0


def test_a_member_stopped_with_an_open_circuit_breaker_leaves_the_orders_to_the_next(harness: Harness) -> None:
    harness.query(REJECT_SOME)
    bad, good = poison(30), good_orders(30)
    harness.produce(*bad)
    fast_probes = {"ORDERS_CIRCUIT_BREAKER__MIN_REJECTED": "1", "ORDERS_CIRCUIT_BREAKER__RETRY_AFTER": "200ms"}
    first = harness.consumer(**fast_probes)
    eventually(lambda: len(first.logged("the circuit breaker is open")) > 2, what="a second probe")
    assert first.stop() == 0
    assert harness.committed() == {}
    harness.produce(*good)
    harness.consumer(**fast_probes)
    harness.wait_committed({0: 60})
    assert harness.stored() == uids(good)
    assert sorted(map(original_offset, harness.dead_letters())) == list(range(30))


# The circuit breaker


def test_the_circuit_breaker_keeps_most_of_a_flood_out_of_the_dead_letter_topic(harness: Harness) -> None:
    good = good_orders(10)
    service = harness.consumer()
    harness.produce(*good)
    harness.wait_committed({0: 10})
    harness.produce(*[Sent(document(sm_id=-1))] * FLOOD)
    eventually(lambda: metric(service, "orders_circuit_breaker_open") == 1, what="the circuit breaker opens")
    (event,) = service.logged("the circuit breaker is open")
    assert re.fullmatch("1000 consecutive messages are bad|.* of the last 1000 messages are bad", event["problem"])
    assert "ORDERS_CIRCUIT_BREAKER__ENABLED=false" in event["hint"]
    assert service.stop() == 0
    before = len(harness.dead_letters())
    assert before < 1_000
    assert harness.committed() == {0: 10 + before}
    harness.consumer(ORDERS_CIRCUIT_BREAKER__ENABLED="false")
    harness.wait_committed({0: 10 + FLOOD})
    assert sorted(map(original_offset, harness.dead_letters())) == list(range(10, 10 + FLOOD))
    assert harness.stored() == uids(good)


def test_the_circuit_breaker_probes_ten_messages_at_a_time_and_closes_after_the_flood(
    harness: Harness,
) -> None:
    bad = [Sent(document(sm_id=-1))] * 34
    messages = [*bad[:29], *good_orders(1), *bad[29:], *good_orders(100)]
    harness.produce(*messages)
    service = harness.consumer(
        ORDERS_CIRCUIT_BREAKER__MAX_CONSECUTIVE="20", ORDERS_CIRCUIT_BREAKER__RETRY_AFTER="200ms"
    )
    harness.wait_committed({0: len(messages)})
    assert harness.stored() == uids(messages)
    assert sorted(map(original_offset, harness.dead_letters())) == [*range(29), *range(30, 35)]
    assert metric(service, "orders_circuit_breaker_open") == 0
    assert (
        1 < len(service.logged("the circuit breaker is open")) <= 4
    )  # once at first, then after each probe with mostly bad messages
