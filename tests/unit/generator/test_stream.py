"""A plan determines its stream: bytes, sequence, shares and versions."""

import json
from collections import Counter
from hashlib import blake2b
from itertools import islice
from typing import Any

import pytest

from generator import stream as streams
from generator.faults import CATALOG, FULL_CATALOG
from generator.stream import DUPLICATE, STALE, TOMBSTONE, UPDATE, VALID, WINDOW, Message, Plan, stream

MIXED = Plan(count=5_000, seed=7, invalid=0.1, duplicates=0.1, stale=0.1, updates=0.1, tombstones=0.05)

# The same on every machine and Python from 3.11. Changing it changes the stream of every published seed.
DIGEST_OF_MIXED = "ba623b2d9bc2f462cff0e12d2df37f82"


def messages(**plan: Any) -> list[Message]:
    return list(stream(Plan(**plan)))


def test_the_bytes_of_a_plan_never_change() -> None:
    digest = blake2b(digest_size=16)
    for message in stream(MIXED):
        digest.update(repr((message.key, message.value, message.kind, message.timestamp_offset_ms)).encode())
    assert digest.hexdigest() == DIGEST_OF_MIXED


def test_another_seed_gives_other_orders() -> None:
    assert {message.key for message in messages(seed=1)}.isdisjoint(message.key for message in messages(seed=2))


def test_new_orders_do_not_depend_on_the_mix() -> None:
    mixed = [message for message in stream(MIXED) if message.kind == VALID]
    assert mixed == messages(count=len(mixed), seed=MIXED.seed)


def test_count_is_the_number_of_messages_of_all_kinds() -> None:
    assert len(list(stream(MIXED))) == MIXED.count


def test_a_count_of_0_is_endless() -> None:
    assert len(list(islice(stream(Plan(count=0)), 5_000))) == 5_000


def test_kinds_occur_in_their_shares() -> None:
    kinds = Counter("fault" if message.reason else message.kind for message in stream(MIXED))
    shares = {kind: count / MIXED.count for kind, count in kinds.items()}
    expected = {VALID: 0.55, "fault": 0.1, DUPLICATE: 0.1, STALE: 0.1, UPDATE: 0.1, TOMBSTONE: 0.05}
    assert shares == pytest.approx(expected, abs=0.02)


def test_the_key_of_every_readable_order_is_its_uid() -> None:
    for message in stream(MIXED):
        if message.reason is None and message.kind != TOMBSTONE:
            assert message.key.decode() == json.loads(message.value or b"")["order_uid"]


def test_a_duplicate_is_the_newest_version_byte_for_byte() -> None:
    newest: dict[bytes, bytes | None] = {}
    for message in stream(MIXED):
        if message.kind == DUPLICATE:
            assert newest[message.key] == message.value
        elif message.kind in {VALID, UPDATE}:
            newest[message.key] = message.value


def test_a_stale_message_is_another_version_of_a_sent_order_with_an_earlier_time() -> None:
    sent: dict[bytes, set[bytes | None]] = {}
    for message in stream(MIXED):
        if message.kind == STALE:
            assert message.value not in sent[message.key]
        elif message.kind in {VALID, UPDATE}:
            sent.setdefault(message.key, set()).add(message.value)
        assert (message.timestamp_offset_ms < 0) == (message.kind == STALE)


def test_an_update_is_a_new_version_of_a_sent_order() -> None:
    sent: dict[bytes, set[bytes | None]] = {}
    for message in stream(MIXED):
        if message.kind == UPDATE:
            assert message.value not in sent[message.key]
        if message.kind in {VALID, UPDATE}:
            sent.setdefault(message.key, set()).add(message.value)


def test_tombstones_of_sent_orders_are_null_empty_or_json_null() -> None:
    sent, values = set(), set()
    for message in stream(MIXED):
        if message.kind == TOMBSTONE:
            assert message.key in sent
            values.add(message.value)
        elif message.kind == VALID:
            sent.add(message.key)
    assert values == {None, b"", b"null", b" null\n"}


def test_a_fault_has_a_key_that_no_order_has() -> None:
    keys = {message.key for message in stream(MIXED) if not message.reason}
    assert keys.isdisjoint(message.key for message in stream(MIXED) if message.reason)


def test_all_faults_of_the_catalog_are_equally_frequent() -> None:
    names = Counter(message.kind for message in messages(count=3 * len(CATALOG), invalid=1.0))
    assert names == {fault.name: 3 for fault in CATALOG}


def test_values_over_the_limit_require_too_large() -> None:
    names = {message.kind for message in messages(count=len(FULL_CATALOG), invalid=1.0, too_large=True)}
    assert names == {fault.name for fault in FULL_CATALOG}


def test_the_first_message_is_a_new_order_even_with_duplicates_only() -> None:
    assert [message.kind for message in messages(count=3, duplicates=1.0)] == [VALID, DUPLICATE, DUPLICATE]


def test_only_orders_within_the_window_are_repeated() -> None:
    last_sent: dict[bytes, int] = {}
    new = 0
    for message in stream(Plan(count=20_000, duplicates=0.3)):
        if message.kind == VALID:
            new += 1
            last_sent[message.key] = new
        else:
            assert new - last_sent[message.key] < WINDOW


def test_memory_is_bounded_by_the_window() -> None:
    generated = streams._Messages(Plan(updates=0.2))
    for _ in range(3 * WINDOW):
        generated.draw()
    assert len(generated._sent) == WINDOW


@pytest.mark.parametrize(
    "plan", [{"invalid": 1.1}, {"stale": -0.1}, {"invalid": 0.6, "duplicates": 0.6}, {"count": -1}, {"seed": -1}]
)
def test_an_invalid_plan_is_rejected(plan: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        Plan(**plan)
