"""Calculates the offsets that make a consumer group reread a topic from a point in time."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple


class Rewind(NamedTuple):
    """The group's committed offsets by partition, and the earlier ones to commit instead."""

    committed: Mapping[int, int]
    targets: Mapping[int, int]

    @property
    def repeated(self) -> int:
        """How many offsets are read again."""
        return sum(self.committed[partition] - target for partition, target in self.targets.items())

    def changes(self) -> Iterator[tuple[int, int, int]]:
        """Yield each partition with its committed offset and the one to commit, which may be equal."""
        for partition, offset in sorted(self.committed.items()):
            yield partition, offset, self.targets.get(partition, offset)


def plan(committed: Mapping[int, int], wanted: Mapping[int, int]) -> Rewind:
    """Return the commits that move the group back to these offsets, never forward: that would skip messages."""
    earlier = {partition: wanted[partition] for partition, offset in committed.items() if wanted[partition] < offset}
    return Rewind(committed, earlier)
