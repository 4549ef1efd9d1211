"""A group is set back to a point in time, never forward."""

from typing import Any

import pytest

from service.usecases import rewind


@pytest.mark.parametrize(
    ("committed", "at_noon", "changes", "repeated"),
    [
        ({0: 10, 1: 8}, {0: 4, 1: 5}, [(0, 10, 4), (1, 8, 5)], 9),
        ({1: 3, 0: 10}, {0: 4, 1: 5}, [(0, 10, 4), (1, 3, 3)], 6),
        ({0: 4}, {0: 4, 1: 0}, [(0, 4, 4)], 0),
        ({}, {0: 4}, [], 0),
    ],
)
def test_only_earlier_offsets_are_committed(
    committed: dict[int, int], at_noon: dict[int, int], changes: list[Any], repeated: int
) -> None:
    plan = rewind.plan(committed, at_noon)
    assert ([*plan.changes()], plan.repeated) == (changes, repeated)
    assert plan.targets == {partition: target for partition, offset, target in changes if target < offset}
