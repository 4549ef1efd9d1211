"""A fake cursor with the sequence of ids; tests/integration/test_ids.py has the contract of both."""

from collections.abc import Sequence
from itertools import count, islice

from service.repo.columns import ID_BLOCK
from service.repo.writer.ids import GREATEST_ID, NEXT_BLOCKS, SKIP_BLOCKS


class FakeSequence:
    """Records how many blocks each statement reserves."""

    def __init__(self) -> None:
        self.reserved: list[int] = []
        self.used: list[int] = []
        """The ids in the table."""
        self._next = count(1, ID_BLOCK)

    def execute(self, statement: str, values: Sequence[int]) -> list[tuple[int | None]]:
        if statement == GREATEST_ID:
            first, last = values
            return [(max((each for each in self.used if first <= each <= last), default=None),)]
        assert statement in {NEXT_BLOCKS, SKIP_BLOCKS}
        self.reserved += values
        blocks = [*islice(self._next, values[0])]
        return [(each,) for each in blocks] if statement == NEXT_BLOCKS else [(len(blocks),)]
