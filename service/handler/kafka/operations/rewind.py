"""`orders rewind`: where the group would be set back to."""

from collections.abc import Iterator
from typing import NamedTuple

from service.handler.kafka.client.topic_reader import Offsets


class Rewind(NamedTuple):
    """The group's committed offsets, and the earlier ones to commit instead."""

    committed: Offsets
    targets: Offsets

    @property
    def repeated(self) -> int:
        """How many offsets are read again."""
        return sum(self.committed[partition] - target for partition, target in self.targets.items())

    def changes(self) -> Iterator[tuple[int, int, int]]:
        """Yield each partition with its committed offset and the one to commit, which may be equal."""
        for partition, offset in sorted(self.committed.items()):
            yield partition, offset, self.targets.get(partition, offset)


def plan(committed: Offsets, wanted: Offsets) -> Rewind:
    """Return how to read again from the wanted offsets. Moving forward would skip messages."""
    earlier = {partition: wanted[partition] for partition, offset in committed.items() if wanted[partition] < offset}
    return Rewind(committed, earlier)
