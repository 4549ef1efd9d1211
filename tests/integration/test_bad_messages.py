"""Good orders are stored, bad messages become dead letters, and no message is dropped."""

import json
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import pairwise
from random import Random
from time import time
from typing import Any

from confluent_kafka import Message
from confluent_kafka.cimpl import NewTopic

from service.entities.dead_letter_headers import DLQ_PREFIX, Header, Headers
from tests.kit.bad_messages import (
    BAD,
    MARK,
    ORIGINAL_HEADERS,
    bad_messages,
    dlq_headers,
    document,
    good_orders,
    interleaved,
    item,
    original_offset,
    uids,
)
from tests.kit.factories import order_document
from tests.kit.harness import TIMEOUT_SECONDS, Harness, Sent, headers, metric, orders
from tests.kit.raw_producer import produce_with_header
from tests.kit.temporary import PARTITIONS
from tests.kit.waiting import eventually

MARKS = re.compile(rb"zzyzx|70707071|9223372036854775808|18446744073709551616", re.IGNORECASE)
"""Values in every document that no header of a dead letter may contain."""


MAX_MESSAGE_BYTES = 8 * 2**20


def original(dead_letter: Message) -> tuple[bytes | None, bytes | None, Headers]:
    """Return value, key and original headers."""
    others = [(name, value) for name, value in headers(dead_letter) if not name.startswith(DLQ_PREFIX)]
    return dead_letter.value(), dead_letter.key(), others


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
    assert service.logged("the topic does not exist")[0]["topic"] == harness.dead_letter_topic
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
