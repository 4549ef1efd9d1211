"""Blocks of ids. tests/integration/test_ids.py has tests with a sequence that was reset."""

from typing import Any, cast

import psycopg
import pytest

from service.repo.columns import ID_BLOCK
from service.repo.writer import ids as module
from service.repo.writer.ids import Ids
from tests.kit.fake_sequence import FakeSequence

ANOTHER_NODES_ID = 2**48 + 1


def cursor(sequence: FakeSequence) -> psycopg.Cursor[Any]:
    return cast("psycopg.Cursor[Any]", sequence)


def test_every_id_is_taken_once_and_blocks_are_used_up() -> None:
    sequence, ids = FakeSequence(), Ids()
    taken = [number for size in (1, 998, 1, 1, 2_500, 0, 499) for number in ids.take(cursor(sequence), size)]
    assert taken == [*range(1, 4_001)]
    assert sequence.reserved == [1, 1, 2]


def test_without_orders_no_id_is_taken() -> None:
    sequence = FakeSequence()
    assert Ids().take(cursor(sequence), 0) == []
    assert sequence.reserved == []


def test_discarded_ids_are_not_used() -> None:
    sequence, ids = FakeSequence(), Ids()
    ids.take(cursor(sequence), 1)
    ids.discard()
    assert ids.take(cursor(sequence), 1) == [2 * ID_BLOCK + 1]


@pytest.mark.parametrize("greatest", [1, 7_000, 7_001, 7_999])
def test_after_a_failure_the_ids_in_use_are_skipped_once(greatest: int) -> None:
    sequence, ids = FakeSequence(), Ids()
    sequence.used = [1, greatest, ANOTHER_NODES_ID]
    ids.discard()
    [taken] = ids.take(cursor(sequence), 1)
    assert greatest < taken < greatest + 2 * ID_BLOCK
    reserved = sum(sequence.reserved)
    ids.take(cursor(sequence), ID_BLOCK)
    assert sum(sequence.reserved) == reserved + 1


def test_only_the_ids_in_use_are_skipped() -> None:
    sequence, ids = FakeSequence(), Ids()
    ids.take(cursor(sequence), 20 * ID_BLOCK)
    sequence.used = [20 * ID_BLOCK]
    ids.discard()
    assert ids.take(cursor(sequence), 1) == [21 * ID_BLOCK + 1]


def test_a_far_id_is_approached_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SKIPPED_BLOCKS", 10)
    sequence, ids = FakeSequence(), Ids()
    sequence.used = [15 * ID_BLOCK]
    taken = []
    for _ in range(2):
        ids.discard()
        taken += ids.take(cursor(sequence), 1)
    assert taken[0] == 11 * ID_BLOCK + 1
    assert taken[1] > sequence.used[0]
