"""Which dead letters a replay sends, and which it refuses."""

from datetime import UTC, datetime

import pytest

from service.entities.dead_letter_headers import Header
from service.entities.dead_letter_record import DeadLetterRecord
from service.usecases.ports.dead_letter_filters import DeadLetterFilters
from service.usecases.ports.replay import EditedValue, ReplayRefusal
from service.usecases.replay import MAX_REPLAY_CHUNK_BYTES, ReplayPlan, take_chunk

HEADERS: dict[str, bytes] = {
    Header.REASON: b"invalid", Header.TOPIC: b"orders", Header.PARTITION: b"2", Header.OFFSET: b"101",
    Header.TIMESTAMP: b"1700000000000", Header.REPLAYS: b"2",
}  # fmt: skip


def dead_letter(headers: dict[str, bytes] = HEADERS, offset: int = 7) -> DeadLetterRecord:
    return DeadLetterRecord(0, offset, 1_000, b"key", b"value", list(headers.items()))


def test_each_selection_has_a_group_of_its_own_and_limits_do_not_change_it() -> None:
    plain = ReplayPlan("orders", DeadLetterFilters())
    same = ReplayPlan("orders", DeadLetterFilters(), limit=5, rate=3)
    time = datetime.fromtimestamp(1, UTC)
    filters = [
        DeadLetterFilters(frozenset({"invalid"})),
        DeadLetterFilters(since=time),
        DeadLetterFilters(until=time),
        DeadLetterFilters(order="a"),
        DeadLetterFilters(text="a"),
    ]
    others = [
        ReplayPlan("other", DeadLetterFilters()),
        ReplayPlan("orders", DeadLetterFilters(), max_replays=9),
        *(ReplayPlan("orders", each) for each in filters),
    ]
    assert plain.group("orders") == same.group("orders")
    assert len({plan.group("orders") for plan in [plain, *others]}) == 1 + len(others)
    assert plain.group("orders").startswith("orders.dlq-replay.")


@pytest.mark.parametrize(
    ("headers", "refusal"),
    [
        (HEADERS, None),
        (HEADERS | {Header.STUB: b"true"}, ReplayRefusal.STUB),
        ({Header.REASON: b"invalid"}, ReplayRefusal.NO_ORIGIN),
        (HEADERS | {Header.TOPIC: b"payroll"}, ReplayRefusal.OTHER_TOPIC),
        (HEADERS | {Header.REPLAYS: b"3"}, ReplayRefusal.REPLAYED_TOO_OFTEN),
    ],
)
def test_a_dead_letter_is_refused_for_a_reason(headers: dict[str, bytes], refusal: ReplayRefusal | None) -> None:
    plan = ReplayPlan("orders", DeadLetterFilters(), max_replays=3)
    assert plan.refusal(dead_letter(headers)) == refusal
    assert plan.examine(dead_letter(headers)).is_sent is (refusal is None)


@pytest.mark.parametrize(
    ("value", "order_uid", "refusal"),
    [
        (b'{"order_uid": "a"}', "a", None),
        (b'{"order_uid": "a"}', "b", ReplayRefusal.OTHER_ORDER),
        (b'{"order_uid": "a", "key": "key"}', "key", ReplayRefusal.OTHER_ORDER),
        (b'{"order_uid": "not valid"}', "b", None),
        (b'{"order_uid": "key"', "key", None),
        (b'{"order_uid": "key"', "b", ReplayRefusal.OTHER_ORDER),
        (b'{"order_uid": "cut off', "b", None),
    ],
)
def test_an_edited_value_must_be_of_the_same_order_where_that_is_known(
    value: bytes, order_uid: str, refusal: ReplayRefusal | None
) -> None:
    plan = ReplayPlan("orders", DeadLetterFilters(), edited=EditedValue(b"edited", order_uid))
    original = dead_letter()._replace(value=value)
    assert plan.refusal(original) == refusal
    assert plan.edit(original) == original._replace(value=b"edited")


def test_a_dead_letter_that_does_not_match_is_not_sent() -> None:
    assert not ReplayPlan("orders", DeadLetterFilters(frozenset({"rejected"}))).examine(dead_letter()).is_sent


def test_a_limit_counts_only_dead_letters_that_are_sent() -> None:
    stub = dead_letter(HEADERS | {Header.STUB: b"true"}, 0)
    found = [stub, *(dead_letter(offset=offset) for offset in range(1, 5))]
    limited = ReplayPlan("orders", DeadLetterFilters(), limit=2).examine_all(found)
    assert [each.dead_letter.offset for each in limited] == [0, 1, 2]
    assert [each.dead_letter for each in ReplayPlan("orders", DeadLetterFilters()).examine_all(found)] == found


def dead_letters(count: int, size: int) -> list[DeadLetterRecord]:
    value = bytes(size)
    return [DeadLetterRecord(0, number, -1, b"key", value, []) for number in range(count)]


def test_a_chunk_ends_at_its_number_of_dead_letters() -> None:
    found = ReplayPlan("orders", DeadLetterFilters()).examine_all(dead_letters(5, 10))
    assert [len(take_chunk(found, 2)) for _ in range(4)] == [2, 2, 1, 0]


def test_a_chunk_of_large_dead_letters_ends_at_its_bytes() -> None:
    found = ReplayPlan("orders", DeadLetterFilters()).examine_all(dead_letters(5, MAX_REPLAY_CHUNK_BYTES // 2))
    assert [len(take_chunk(found, 500)) for _ in range(4)] == [2, 2, 1, 0]
