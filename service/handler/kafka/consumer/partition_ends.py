"""Ends of partitions whose last offsets hold no records: transaction markers and aborted messages."""

from collections.abc import Collection, Mapping


class PartitionEnds:
    """The client reports the offset up to which it has read a partition.

    No record has that offset if markers or aborted messages follow the last one. Until it is committed, the group has a
    lag that never ends. Belongs to the reading thread.
    """

    def __init__(self) -> None:
        self._reached: dict[int, int] = {}

    @property
    def is_empty(self) -> bool:
        return not self._reached

    def add(self, partition: int, end: int) -> None:
        """Note that everything before `end` was read."""
        self._reached[partition] = end

    def forget(self, partitions: Collection[int]) -> None:
        """Forget partitions that were revoked, or are read again from an earlier offset."""
        for partition in partitions:
            self._reached.pop(partition, None)

    def clear(self) -> None:
        self._reached.clear()

    def passed(self, done: Mapping[int, int], pending: Collection[int]) -> dict[int, int]:
        """Return, once, the ends that are after the offsets that are done, for partitions without pending messages.

        A partition that is not in `done` is left for later, because its committed offset is not known yet.
        """
        settled = {p: end for p, end in self._reached.items() if p in done and p not in pending}
        self.forget(settled)
        return {partition: end for partition, end in settled.items() if end > done[partition]}
