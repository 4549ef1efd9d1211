"""Notifications fit into PostgreSQL's limit, lose no uid, and ignore what others send."""

import pytest
from msgspec.json import decode

from service.repo.notifications import MAX_PAYLOAD_BYTES, Notification, parse, payload_lines, payloads

LONGEST_UID = 64


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
    assert max(map(len, found)) <= MAX_PAYLOAD_BYTES
    assert all(len(payload) > MAX_PAYLOAD_BYTES - 2 * LONGEST_UID for payload in found[:-1])


def test_each_payload_is_one_line() -> None:
    uids = ["x" * LONGEST_UID] * 500
    assert payload_lines(uids, uids).split("\n") == [*payloads(uids, uids)]


@pytest.mark.parametrize(
    "payload", ["", "hello", "[]", '{"new": "a"}', '{"new": [1]}', '{"new": ["a b"]}', '{"changed": ["a b"]}', "{"]
)
def test_a_payload_that_is_not_ours_is_ignored(payload: str) -> None:
    assert parse(payload) is None
