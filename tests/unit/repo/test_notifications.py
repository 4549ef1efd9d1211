"""Notifications fit into PostgreSQL's limit, lose no uid, and ignore what others send."""

from collections.abc import Iterable

import pytest
from msgspec.json import decode

from service.entities.version import MAX_TIMESTAMP_MS, MAX_TOPIC_LENGTH, RecordCoordinates
from service.repo.notifications import MAX_PAYLOAD_BYTES, parse, payload_lines, payloads
from service.usecases.ports.reads import Notification

LONGEST_UID = 64
ADDED_BYTES = len('"stored_at":"294276-12-31T23:59:59.999999Z",')
"""What the statement adds to a payload."""


def test_new_and_changed_orders_have_payloads_of_their_own() -> None:
    assert [parse(payload) for payload in payloads(["a", "b"], ["c"])] == [
        Notification(new=["a", "b"]),
        Notification(changed=["c"]),
    ]


def test_no_order_needs_no_payload() -> None:
    assert [*payloads([], [])] == []
    assert payload_lines([], []) == ""


@pytest.mark.parametrize("length", [1, 2, 19, 36, LONGEST_UID])
def test_payloads_of_many_orders_are_complete_within_the_limit_and_nearly_full(length: int) -> None:
    uids = [f"{number:064}"[-length:] for number in range(4_000)]
    found = [*payloads([], uids)]
    assert [uid for payload in found for uid in decode(payload)["changed"]] == uids
    assert max(map(len, found)) + ADDED_BYTES <= MAX_PAYLOAD_BYTES
    assert all(len(payload) > MAX_PAYLOAD_BYTES - 3 * LONGEST_UID for payload in found[:-1])


@pytest.mark.parametrize("offset", [0, 12_345_678, 2**63 - 1])
def test_versions_fit_into_the_payloads_of_their_orders(offset: int) -> None:
    topic = "t" * MAX_TOPIC_LENGTH
    sources = {
        f"order-{number}": RecordCoordinates(1_637_907_739_000 + number, number % 3, offset, topic)
        for number in range(2_000)
    }
    longest = {"longest": RecordCoordinates(MAX_TIMESTAMP_MS, 2**31 - 1, 2**63 - 1, topic)}
    found = [*payloads([*sources], [*longest], sources | longest)]
    assert max(map(len, found)) + ADDED_BYTES <= MAX_PAYLOAD_BYTES
    assert received(found) == sources | longest


def received(found: Iterable[str]) -> dict[str, RecordCoordinates]:
    """Return the orders of payloads with their records."""
    parsed = [each for each in map(parse, found) if each]
    return {
        uid: RecordCoordinates(*version, each.topic or "")
        for each in parsed
        for uid, version in zip(each.new + each.changed, each.versions, strict=True)
    }


def test_orders_of_several_topics_have_payloads_of_their_own() -> None:
    sources = {
        uid: RecordCoordinates(number, 0, number, topic)
        for number, (uid, topic) in enumerate([("a", "eu"), ("b", "us"), ("c", "eu"), ("d", "us")])
    }
    found = [*payloads(["a", "b", "c"], ["d"], sources)]
    assert [(each.topic, each.new, each.changed) for each in map(parse, found) if each] == [
        ("eu", ["a", "c"], []),
        ("us", ["b"], []),
        ("us", [], ["d"]),
    ]
    assert received(found) == sources


def test_each_payload_is_one_line() -> None:
    uids = ["x" * LONGEST_UID] * 500
    assert payload_lines(uids, uids).split("\n") == [*payloads(uids, uids)]


@pytest.mark.parametrize(
    "payload",
    [
        *("", "hello", "[]", '{"new": "a"}', '{"new": [1]}', '{"new": ["a b"]}', '{"changed": ["a b"]}', "{"),
        '{"new": ["a"], "versions": [[1, 2, 3], [1, 2, 3]]}',
        '{"new": ["a"], "changed": ["b"], "versions": [[1, 2, 3]]}',
        '{"new": ["a"], "versions": [[-1, 2, 3]]}',
        '{"new": ["a"], "topic": "a\\"b", "versions": [[1, 2, 3]]}',
        '{"new": ["a"], "topic": "", "versions": [[1, 2, 3]]}',
        '{"stored_at": "2026-11-29T10:00:00Z\\n"}',
    ],
)
def test_a_payload_that_is_not_ours_is_ignored(payload: str) -> None:
    assert parse(payload) is None
