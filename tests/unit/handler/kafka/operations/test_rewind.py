"""A group is set back to a point in time, never forward."""

from typing import Any, cast

import pytest

from service.handler.kafka.client.topic_reader import Offsets, TopicReader
from service.handler.kafka.operations import rewind

NOON_MS = 1_700_000_000_000


class FakeTopic:
    """A topic with the group's committed offsets, and the offsets at noon."""

    def __init__(self, committed: Offsets, at_noon: Offsets) -> None:
        self._committed = committed
        self._at_noon = at_noon

    def committed(self) -> Offsets:
        return self._committed

    def offsets_at(self, timestamp_ms: int) -> Offsets:
        assert timestamp_ms == NOON_MS
        return self._at_noon


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
    committed: Offsets, at_noon: Offsets, changes: list[Any], repeated: int
) -> None:
    plan = rewind.plan(cast("TopicReader", FakeTopic(committed, at_noon)), NOON_MS)
    assert ([*plan.changes()], plan.repeated) == (changes, repeated)
    assert plan.targets == {partition: target for partition, offset, target in changes if target < offset}
