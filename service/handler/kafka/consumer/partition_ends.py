"""Ends of partitions whose last offsets are transaction markers or aborted messages."""

from collections.abc import Collection, Mapping


class PartitionEnds:
    """Offsets that no record of a batch leads to, but that must be committed: otherwise a lag remains forever.

    The client reports the end of a partition when it has read everything before it. Belongs to the reading thread.
    """

    def __init__(self) -> None:
        self._reached: dict[int, int] = {}

    @property
    def is_empty(self) -> bool:
        return not self._reached

    def add(self, partition: int, end: int) -> None:
        """Record that the client has read everything before `end`."""
        self._reached[partition] = end

    def forget(self, partitions: Collection[int]) -> None:
        """Forget partitions that were revoked or moved to an earlier offset."""
        for partition in partitions:
            self._reached.pop(partition, None)

    def clear(self) -> None:
        self._reached.clear()

    def take_committable(self, done: Mapping[int, int], pending: Collection[int]) -> dict[int, int]:
        """Remove the ends of partitions without pending messages; return those that are after the offset in `done`.

        Keeps the ends of partitions that are not in `done`: their committed offset is not known yet.
        """
        ends = {p: end for p, end in self._reached.items() if p in done and p not in pending}
        self.forget(ends)
        return {partition: end for partition, end in ends.items() if end > done[partition]}
