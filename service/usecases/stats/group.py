"""What `/stats` reports of Kafka: the consumer group, its lag, and the number of dead letters."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import time

from service.entities.partition import Partition, by_topic
from service.errors import KafkaRequestFailed
from service.pkg.run_with_timeout import run_in_daemon_thread
from service.usecases.ports.stats import GroupMember, LagReader, MembersReader, ReadNextTimestamps, TopicDepths
from service.usecases.stats.dependency import Dependency
from service.usecases.stats.refreshing import refreshing
from service.usecases.stats.view import AssignedTopic, ConsumerMember, Consumers, DependencyStatus, PartitionLag


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupReaders:
    lag: LagReader
    members: MembersReader
    next_timestamps: ReadNextTimestamps


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupStats:
    """None where Kafka did not answer in time."""

    lag: int | None
    partitions: list[PartitionLag] | None
    dead_letters: int | None
    consumers: Consumers | None
    kafka: DependencyStatus | None


class GroupStatsReader:
    """Belongs to one event loop. Each part is read by one thread at a time, and independently of the others."""

    def __init__(self, readers: GroupReaders, now: Callable[[], float] = time) -> None:
        self._readers = readers
        self._now = now
        self._depths = refreshing(self._read_depths)
        self._ages = refreshing(self._read_ages)
        self._members = refreshing(self._read_members)
        self._kafka, self._consumers = Dependency(), Dependency()

    async def read(self) -> GroupStats:
        depths, ages, members = await asyncio.gather(self._depths.get(), self._ages.get(), self._members.get())
        return GroupStats(
            lag=None if depths is None else depths.lag,
            partitions=None if depths is None else _partitions(depths, ages or {}),
            dead_letters=None if depths is None else depths.dead_letters,
            consumers=None if members is None else _consumers(members, self._consumers.status),
            kafka=self._kafka.status,
        )

    async def _read_depths(self) -> TopicDepths | None:
        depths = await run_in_daemon_thread(self._readers.lag.read_if_available)
        self._kafka.set_state(is_up=depths is not None)
        return depths

    async def _read_ages(self) -> dict[Partition, float] | None:
        """Return the age, in seconds, of the next message of each partition with a lag, where it is known."""
        depths = await self._depths.get()
        if depths is None:
            return None
        offsets = {partition: depth.next_offset for partition, depth in depths.partitions.items() if depth.lag}
        try:
            timestamps = await run_in_daemon_thread(lambda: self._readers.next_timestamps(offsets))
        except KafkaRequestFailed:
            return None
        now = self._now()
        return {partition: round(max(now - timestamp / 1_000, 0.0), 1) for partition, timestamp in timestamps.items()}

    async def _read_members(self) -> Sequence[GroupMember] | None:
        members = await run_in_daemon_thread(self._readers.members.read_if_available)
        if members is not None:
            self._consumers.set_state(is_up=bool(members))
        return members


def _partitions(depths: TopicDepths, ages: Mapping[Partition, float]) -> list[PartitionLag]:
    return [
        PartitionLag(*partition, depth.lag, ages.get(partition) if depth.lag else 0.0)
        for partition, depth in depths.partitions.items()
    ]


def _consumers(members: Sequence[GroupMember], status: DependencyStatus | None) -> Consumers | None:
    if status is None:
        return None
    shown = [ConsumerMember(member.client_id, _assigned(member)) for member in members]
    return Consumers(is_running=status.is_up, since=status.since, members=shown)


def _assigned(member: GroupMember) -> list[AssignedTopic]:
    return [AssignedTopic(topic, numbers) for topic, numbers in by_topic(member.partitions).items()]
