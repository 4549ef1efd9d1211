"""Blocks of ids. tests/integration/test_writes.py has tests with a sequence that was reset."""

from typing import Any, cast

import psycopg

from service.repo.columns import ID_BLOCK
from service.repo.writer.ids import Ids
from tests.kit.fake_sequence import FakeSequence


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
    assert ids.take(cursor(sequence), 1) == [ID_BLOCK + 1]
