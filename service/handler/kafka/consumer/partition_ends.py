"""How far partitions were read where their last records are none: markers of transactions and what was aborted."""

from collections.abc import Collection, Mapping


class PartitionEnds:
    """The client says when it has handed over all that can be read of a partition, and up to which offset that is.

    No record tells that offset where markers or aborted messages lie behind the last one. Until it is committed, all
    who compare the group's offset with the partition's end see a lag that never goes. For the reading thread.
    """

    def __init__(self) -> None:
        self._reached: dict[int, int] = {}

    @property
    def is_empty(self) -> bool:
        return not self._reached

    def add(self, partition: int, end: int) -> None:
        """Note that all before `end` was handed over."""
        self._reached[partition] = end

    def forget(self, partitions: Collection[int]) -> None:
        """Leave out partitions that another member has, or that are read again from an earlier offset."""
        for partition in partitions:
            self._reached.pop(partition, None)

    def clear(self) -> None:
        self._reached.clear()

    def passed(self, done: Mapping[int, int], pending: Collection[int]) -> dict[int, int]:
        """Return, once, the ends that lie behind what is done, of partitions of which nothing is pending.

        A partition that is not in `done` is left for later: where the group stands is not known yet.
        """
        settled = {p: end for p, end in self._reached.items() if p in done and p not in pending}
        self.forget(settled)
        return {partition: end for partition, end in settled.items() if end > done[partition]}
