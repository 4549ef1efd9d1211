"""A fake cursor with the sequence of ids; tests/integration/test_writes.py has the contract of both."""

from collections.abc import Iterator
from itertools import count

from service.repo.columns import ID_BLOCK
from service.repo.writer.ids import NEXT_BLOCKS


class FakeSequence:
    """Records how many blocks each statement reserves."""

    def __init__(self) -> None:
        self.reserved: list[int] = []
        self._next = count(1, ID_BLOCK)

    def execute(self, statement: str, values: list[int]) -> Iterator[tuple[int]]:
        assert statement == NEXT_BLOCKS
        self.reserved += values
        return ((next(self._next),) for _ in range(values[0]))
