"""How far each partition was read, written and committed."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from time import monotonic, time
from typing import Final

from service.entities.partition import Partition
from service.usecases.batch import Batch

_MS_PER_SECOND: Final = 1_000


@dataclass(frozen=True, slots=True)
class PartitionProgress:
    offset: int
    """The next offset: every message before it is stored or dead-lettered."""
    last_ms: int
    """The timestamp of the last record that is done, or a later time at which the lag was 0."""
    moved_at: float
    """The time at which the offset last changed, or the lag was 0."""
    leader_epoch: int | None
    """Of the record before the offset; None if it is unknown, as at the end of a partition."""
    is_ours: bool
    """Whether this member processed the messages before the offset; otherwise the group had committed it."""


class Progress:
    """How far this member has processed its partitions.

    An offset is uncommitted from the time at which everything before it is done until the broker has acknowledged its
    commit. An offset of a revoked partition that is uncommitted is abandoned: the next owner reads its messages again.
    """

    def __init__(self, now: Callable[[], float] = monotonic, wall_clock: Callable[[], float] = time) -> None:
        self._now = now
        self._wall_clock = wall_clock
        self._partitions: dict[Partition, PartitionProgress] = {}
        self._uncommitted: dict[Partition, int] = {}
        self._abandoned: set[Partition] = set()
        self._ends: dict[Partition, int] = {}
        """Ends of partitions that the client has reached.

        The last offsets may be transaction markers or aborted messages. No record of a batch leads to them, but they
        must be committed: otherwise a lag remains forever.
        """

    @property
    def partitions(self) -> Mapping[Partition, PartitionProgress]:
        """The partitions whose next offset is known."""
        return self._partitions

    @property
    def uncommitted(self) -> Mapping[Partition, int]:
        return self._uncommitted

    @property
    def leader_epochs(self) -> Mapping[Partition, int | None]:
        """The leader epochs of the records before the uncommitted offsets."""
        return {partition: self._partitions[partition].leader_epoch for partition in self._uncommitted}

    @property
    def is_committed(self) -> bool:
        """Whether the broker has acknowledged every offset, and none was abandoned."""
        return not self._uncommitted and not self._abandoned

    def next_offset(self, partition: Partition) -> int | None:
        """Return the offset after the messages that this member has processed; None if there are none."""
        progress = self._partitions.get(partition)
        return progress.offset if progress and progress.is_ours else None

    def age_seconds(self, partition: Partition) -> float:
        """Return the seconds since the `last_ms` of a partition."""
        return max(self._now_ms() - self._partitions[partition].last_ms, 0) / _MS_PER_SECOND

    def stalled_seconds(self, partition: Partition) -> float:
        """Return the seconds since the `moved_at` of a partition."""
        return self._now() - self._partitions[partition].moved_at

    def mark_caught_up(self, partition: Partition) -> None:
        """Record that nothing is left to read."""
        progress = self._partitions[partition]
        self._partitions[partition] = replace(progress, last_ms=max(progress.last_ms, self._now_ms()))

    def mark_idle(self, partition: Partition) -> None:
        """Record that nothing is left to read or to wait for."""
        self._partitions[partition] = replace(self._partitions[partition], moved_at=self._now())

    def start_at(self, committed: Mapping[Partition, int]) -> None:
        """Record the group's committed offsets, for partitions of which no batch is done yet."""
        for partition, offset in committed.items():
            progress = PartitionProgress(offset, self._now_ms(), self._now(), None, is_ours=False)
            self._partitions.setdefault(partition, progress)

    def restart(self, partitions: Collection[Partition]) -> None:
        """Record that partitions of a recreated topic are read from offset 0, whatever the group has committed."""
        for partition in partitions:
            self._move(partition, 0, self._now_ms())

    def advance(self, batch: Batch, *, is_committed: bool = False) -> None:
        """Record that a batch is done, and whether its offsets were committed together with its dead letters."""
        offsets = batch.commit_offsets
        for partition, offset in offsets.items():
            self._move(partition, offset, batch.last_timestamps_ms[partition], batch.leader_epochs.get(partition))
        if is_committed:
            # An earlier offset, such as the end of a partition, must not be committed after these.
            for partition in offsets:
                self._uncommitted.pop(partition, None)
        else:
            self._uncommitted.update(offsets)

    def on_committed(self, partition: Partition, offset: int) -> None:
        """Record that the broker has acknowledged the commit of an offset. A later offset remains to be committed."""
        if self._uncommitted.get(partition) == offset:
            del self._uncommitted[partition]

    def recommit(self) -> None:
        """Commit all offsets again, except those that were abandoned."""
        ours = {key: each.offset for key, each in self._partitions.items() if each.is_ours}
        self._uncommitted.update({key: offset for key, offset in ours.items() if key not in self._abandoned})

    def on_assign(self) -> None:
        """Clear the abandoned partitions: their new owner reads uncommitted messages again."""
        self._abandoned.clear()

    def reach_end(self, partition: Partition, end: int) -> None:
        """Record that the client has read everything before the end of a partition."""
        self._ends[partition] = end

    def advance_to_ends(self, unfinished: Iterable[Batch], held_back: Collection[Partition] = ()) -> None:
        """Advance partitions that were read to the end, and of which no message is held back or in an unfinished batch.

        The end of a partition whose committed offset is not known yet is kept for later.
        """
        if not self._ends:
            return
        pending = {*held_back, *(partition for batch in unfinished for partition in batch.next_offsets)}
        for partition in sorted(self._ends.keys() & self._partitions.keys()):
            if partition not in pending:
                end = self._ends.pop(partition)
                if end > self._partitions[partition].offset:
                    self._move(partition, end, self._now_ms())
                    self._uncommitted[partition] = end

    def clear_ends(self, partitions: Collection[Partition]) -> None:
        """Ignore the ends of partitions that are read from an earlier offset."""
        for partition in partitions:
            self._ends.pop(partition, None)

    def clear_all_ends(self) -> None:
        self._ends.clear()

    def abandon(self) -> None:
        """Commit no offset that is still uncommitted."""
        self._abandoned |= self._uncommitted.keys()
        self._uncommitted.clear()

    def drop(self, partitions: frozenset[Partition]) -> None:
        """Drop partitions that were revoked or recreated."""
        for partition in partitions:
            self._partitions.pop(partition, None)
            if self._uncommitted.pop(partition, None) is not None:
                self._abandoned.add(partition)
        self.clear_ends(partitions)

    def _move(self, partition: Partition, offset: int, last_ms: int, leader_epoch: int | None = None) -> None:
        self._partitions[partition] = PartitionProgress(offset, last_ms, self._now(), leader_epoch, is_ours=True)

    def _now_ms(self) -> int:
        return round(self._wall_clock() * _MS_PER_SECOND)
