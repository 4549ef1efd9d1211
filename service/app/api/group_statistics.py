"""What `/stats` reports of Kafka: the consumer group, its lag, and the number of dead letters."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import time

from service.app.api.dependencies import Dependency
from service.app.api.refreshing import refreshing
from service.errors import KafkaRequestFailed
from service.handler.http.routes.stats import ConsumerMember, Consumers, DependencyStatus, PartitionLag
from service.handler.kafka.client.group_lag import GroupLag, PartitionDepth, TopicDepths
from service.handler.kafka.client.group_members import GroupMember, GroupMembers
from service.pkg.run_with_timeout import run_in_daemon_thread

ReadNextTimestamps = Callable[[Mapping[int, int]], dict[int, int]]
"""Returns the timestamp (ms) of the first message at or after each partition's offset. Raises KafkaRequestFailed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupReaders:
    lag: GroupLag
    members: GroupMembers
    next_timestamps: ReadNextTimestamps


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupStats:
    """None where Kafka did not answer in time."""

    lag: int | None
    partitions: list[PartitionLag] | None
    dead_letters: int | None
    consumers: Consumers | None
    kafka: DependencyStatus | None


class GroupStatistics:
    """Belongs to one event loop. Each part is read by one thread at a time, and independently of the others."""

    def __init__(self, readers: GroupReaders, now: Callable[[], float] = time) -> None:
        self._readers = readers
        self._now = now
        self._depths = refreshing(self._read_depths)
        self._timestamps = refreshing(self._read_timestamps)
        self._members = refreshing(self._read_members)
        self._kafka, self._consumers = Dependency(), Dependency()

    async def read(self) -> GroupStats:
        depths, timestamps, members = await asyncio.gather(
            self._depths.get(), self._timestamps.get(), self._members.get()
        )
        return GroupStats(
            lag=None if depths is None else depths.lag,
            partitions=None if depths is None else self._partitions(depths, timestamps or {}),
            dead_letters=None if depths is None else depths.dead_letters,
            consumers=None if members is None else _consumers(members, self._consumers.status),
            kafka=self._kafka.status,
        )

    def _partitions(self, depths: TopicDepths, timestamps: Mapping[int, int]) -> list[PartitionLag]:
        return [
            PartitionLag(number, depth.lag, self._age_seconds(depth, timestamps.get(number)))
            for number, depth in depths.partitions.items()
        ]

    def _age_seconds(self, depth: PartitionDepth, timestamp_ms: int | None) -> float | None:
        if depth.lag == 0:
            return 0.0
        return None if timestamp_ms is None else round(max(self._now() - timestamp_ms / 1_000, 0.0), 1)

    async def _read_depths(self) -> TopicDepths | None:
        depths = await run_in_daemon_thread(self._readers.lag.read_if_available)
        self._kafka.set_state(is_up=depths is not None)
        return depths

    async def _read_timestamps(self) -> dict[int, int] | None:
        depths = await self._depths.get()
        if depths is None:
            return None
        offsets = {number: depth.next_offset for number, depth in depths.partitions.items() if depth.lag}
        try:
            return await run_in_daemon_thread(lambda: self._readers.next_timestamps(offsets))
        except KafkaRequestFailed:
            return None

    async def _read_members(self) -> list[GroupMember] | None:
        members = await run_in_daemon_thread(self._readers.members.read_if_available)
        if members is not None:
            self._consumers.set_state(is_up=bool(members))
        return members


def _consumers(members: list[GroupMember], status: DependencyStatus | None) -> Consumers | None:
    if status is None:
        return None
    shown = [ConsumerMember(member.client_id, member.partitions) for member in members]
    return Consumers(is_running=status.is_up, since=status.since, members=shown)
