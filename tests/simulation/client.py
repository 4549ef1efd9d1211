"""A simulated confluent_kafka.Consumer: a group member with librdkafka's background thread."""

import json
import struct
from collections import deque
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, Final

from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException, Message, TopicPartition

from tests.simulation.broker import Broker, Request
from tests.simulation.coordinator import Key
from tests.simulation.positions import Positions, message
from tests.simulation.scheduler import Process
from tests.simulation.violation import Violation

HEARTBEAT_SECONDS: Final = 2.0
REQUEST_SECONDS: Final = 10.0
"""socket.timeout.ms"""
FETCH_SECONDS: Final = 0.25
"""How long the client waits before it looks for new records again."""
STATISTICS_SECONDS: Final = 5.0
CLOSE_SECONDS: Final = 5.0
_METADATA: Final = struct.Struct("=7si")


def metadata_of(member: str, generation: int) -> bytes:
    return _METADATA.pack(b"CGMDv2:", generation) + member.encode()


def read_metadata(metadata: bytes) -> tuple[str, int]:
    return metadata[_METADATA.size :].decode(), _METADATA.unpack_from(metadata)[1]


class SimulatedConsumer:
    def __init__(self, broker: Broker, process: Process, properties: dict[str, Any]) -> None:
        self._broker = broker
        self._scheduler = broker.scheduler
        self._process = process
        self._properties = properties
        self._coordinator = broker.group(properties.get("group.id", ""))
        resets = properties.get("auto.offset.reset") == "earliest"
        self._positions = Positions(broker, self._coordinator, resets=resets)
        self._max_poll_seconds = properties["max.poll.interval.ms"] / 1_000
        self._member = ""
        self._members = 0
        self._generation = -1
        self._callbacks: deque[Callable[[], None]] = deque()
        self._subscription: dict[str, Callable[..., None]] = {}
        self._rebalances: deque[Callable[[], None]] = deque()
        """Callbacks of a rebalance, and what follows them; the first one stays until it has returned."""
        self._polled_at = self._scheduler.now
        self._commits_in_flight = 0
        self._is_closed = False
        self.is_in_callback = False
        self.is_fenced = False
        """Whether it has failed for good, as that of a static member does if another one has the same id."""
        self._fatal_errors: list[Message] = []

    # The group's side

    @property
    def owned(self) -> frozenset[Key]:
        return self._positions.keys

    def on_assignment(self, generation: int, granted: frozenset[Key]) -> None:
        """Revoke first, and join again; the partitions that are added are assigned in between."""
        self._generation = generation
        revoked, added = sorted(self.owned - granted), sorted(granted - self.owned)
        self._broker.timeline.add(f"{self._member} generation {generation}: +{_numbers(added)} -{_numbers(revoked)}")
        if revoked:
            self._call_back("on_revoke", revoked)
        if added:
            self._call_back("on_assign", added)
        if revoked:
            self._rebalances.append(self._join)

    def _join(self) -> None:
        self._coordinator.join(self._member, self, self._scheduler.now)

    def _call_back(self, kind: str, keys: Sequence[Key]) -> None:
        partitions = [TopicPartition(*key) for key in keys]
        self._rebalances.append(lambda: self._subscription[kind](self, partitions))

    def _heartbeat(self) -> None:
        """Run librdkafka's background thread once: it does not depend on polls."""
        if self._process.is_killed or self._is_closed or self.is_fenced:
            return
        if self._process.suspended_until > self._scheduler.now:
            self._scheduler.call_at(self._process.suspended_until + self._broker.latency(), self._heartbeat)
            return
        self._scheduler.call_later(self._broker.random.uniform(0.5, 1) * HEARTBEAT_SECONDS, self._heartbeat)
        if self._broker.is_up:
            self._keep_membership()
        else:
            self._callbacks.append(lambda: self._properties["error_cb"](KafkaError(KafkaError._TRANSPORT)))

    def fence(self) -> None:
        """Leave the group, never join again, and return one fatal error in place of a message."""
        self.is_fenced = True
        self._fatal_errors.append(message(("", 0), 0, error=KafkaError._FATAL))
        self._coordinator.leave(self._member, self._scheduler.now)
        self._lose()

    def _keep_membership(self) -> None:
        now, coordinator = self._scheduler.now, self._coordinator
        if now - self._polled_at > self._max_poll_seconds:
            if self._process.suspended_until < self._polled_at:
                raise Violation(f"{self._member} has not polled for {now - self._polled_at:.1f} s")
            if self._member:
                self._broker.timeline.add(f"{self._member} leaves: it has not polled")
                coordinator.leave(self._member, now)
                self._lose()
            return
        if not self._member:
            if self._rebalances:
                return
            self._members += 1
            self._member = f"{self._process.name}#{self._members}"
            self._join()
            return
        error = coordinator.heartbeat(self._member, now)
        if error is None:
            return
        if error.code() != KafkaError.REBALANCE_IN_PROGRESS:
            self._lose()
        elif not self._rebalances:
            self._join()

    def _lose(self) -> None:
        """Handle that this is no longer a member; join again afterwards."""
        self._member, self._generation = "", -1
        self._rebalances.clear()
        if self.owned:
            self._call_back("on_lost", sorted(self.owned))

    # The methods of confluent_kafka.Consumer

    def subscribe(
        self,
        topics: Sequence[str],
        on_assign: Callable[..., None],
        on_revoke: Callable[..., None],
        on_lost: Callable[..., None],
    ) -> None:
        assert topics
        self._subscription = {"on_assign": on_assign, "on_revoke": on_revoke, "on_lost": on_lost}
        self._scheduler.call_later(self._broker.latency(), self._heartbeat)
        self._scheduler.call_later(STATISTICS_SECONDS, self._report_statistics)

    def consume(self, num_messages: int = 1, timeout: float = -1) -> list[Message]:
        self._scheduler.pause()
        deadline = self._scheduler.now + timeout
        while True:
            self._polled_at = self._scheduler.now
            self._serve()
            errors, self._fatal_errors = self._fatal_errors, []
            messages = errors or self._positions.take(num_messages)
            if messages or self._scheduler.now >= deadline:
                return messages
            self._scheduler.wait(self._has_news, min(deadline - self._scheduler.now, FETCH_SECONDS))

    def poll(self, timeout: float) -> Message | None:
        return next(iter(self.consume(1, timeout)), None)

    def _has_news(self) -> bool:
        return bool(self._callbacks or self._rebalances)

    def _serve(self) -> None:
        while self._callbacks:
            self._callbacks.popleft()()
        while self._rebalances:
            call = self._rebalances[0]
            self.is_in_callback = True
            call()
            self.is_in_callback = False
            if self._rebalances and self._rebalances[0] is call:
                self._rebalances.popleft()

    def assignment(self) -> list[TopicPartition]:
        return self._positions.partitions

    def assign(self, partitions: Sequence[TopicPartition]) -> None:
        """Assign these partitions instead of the current ones."""
        self.unassign()
        self._positions.assign(partitions)

    def unassign(self) -> None:
        self._positions.unassign(self._positions.partitions)

    def incremental_assign(self, partitions: Sequence[TopicPartition]) -> None:
        self._positions.assign(partitions)

    def incremental_unassign(self, partitions: Sequence[TopicPartition]) -> None:
        self._positions.unassign(partitions)

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        self._positions.pause(partitions)

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        self._positions.resume(partitions)

    def seek(self, partition: TopicPartition) -> None:
        self._positions.seek(partition)

    def list_topics(self, topic: str, timeout: float) -> SimpleNamespace:
        """Return the metadata of a topic."""
        return self._broker.call(Request.METADATA, timeout, lambda: self._metadata(topic))

    def _metadata(self, topic: str) -> SimpleNamespace:
        numbers = [partition for _, partition in self._broker.keys(topic)]
        error = None if numbers else KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)
        return SimpleNamespace(topics={topic: SimpleNamespace(error=error, partitions=dict.fromkeys(numbers))})

    def get_watermark_offsets(
        self, partition: TopicPartition, timeout: float = -1, *, cached: bool = False
    ) -> tuple[int, int]:
        key = (partition.topic, partition.partition)
        if cached:
            return self._positions.watermarks.get(key, (OFFSET_INVALID, OFFSET_INVALID))
        return self._broker.call(Request.WATERMARKS, timeout, lambda: self._watermarks(key))

    def _watermarks(self, key: Key) -> tuple[int, int]:
        log = self._broker.log(key)
        if log is None:
            raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
        return log.start, log.end

    def committed(self, partitions: Sequence[TopicPartition], timeout: float = -1) -> list[TopicPartition]:
        """Block until no open transaction contains offsets of these partitions."""
        coordinator, keys = self._coordinator, [(each.topic, each.partition) for each in partitions]
        deadline = self._scheduler.now + timeout
        if not self._scheduler.wait(lambda: not any(map(coordinator.is_pending, keys)), timeout):
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return self._broker.call(
            Request.COMMITTED, deadline - self._scheduler.now, lambda: [self._committed(key) for key in keys]
        )

    def _committed(self, key: Key) -> TopicPartition:
        found = self._coordinator.offsets.get(key)
        return TopicPartition(*key, OFFSET_INVALID) if found is None else TopicPartition(*key, *found)

    def commit(self, *, offsets: Sequence[TopicPartition], asynchronous: bool) -> None:
        """Send a commit; `on_commit` is called in a poll."""
        self._scheduler.pause()
        coordinator, member, generation = self._coordinator, self._member, self._generation

        def effect() -> KafkaError | None:
            error = coordinator.check(member, generation)
            if error is None:
                self._broker.timeline.add(f"{member} commits {_offsets(offsets)}")
                coordinator.commit(offsets)
            return error

        if not asynchronous:
            if (error := self._broker.call(Request.COMMIT, REQUEST_SECONDS, effect)) is not None:
                raise KafkaException(error)
            return
        self._commits_in_flight += 1

        def answer(error: KafkaError | None) -> None:
            self._commits_in_flight -= 1
            self._callbacks.append(lambda: self._properties["on_commit"](error, [*offsets]))

        self._broker.send(Request.COMMIT, REQUEST_SECONDS, effect, answer)

    def consumer_group_metadata(self) -> bytes:
        return metadata_of(self._member, self._generation)

    def close(self) -> None:
        """Revoke all partitions, wait for the answers to commits, and leave the group."""
        deadline = self._scheduler.now + CLOSE_SECONDS
        self._rebalances.clear()
        if self.owned and self._member:
            self._subscription["on_revoke"](self, self._positions.partitions)
        elif self.owned and self._subscription:
            self._subscription["on_lost"](self, self._positions.partitions)
        self._scheduler.wait(lambda: not self._commits_in_flight, deadline - self._scheduler.now)
        self._serve()
        self._scheduler.wait(lambda: self._broker.is_up, deadline - self._scheduler.now)
        self._is_closed = True
        if self._member and self._broker.is_up:
            self._coordinator.leave(self._member, self._scheduler.now)

    # The client's statistics

    def _report_statistics(self) -> None:
        if self._process.is_killed or self._is_closed:
            return
        self._scheduler.call_later(STATISTICS_SECONDS, self._report_statistics)
        if self._process.suspended_until <= self._scheduler.now:
            text = json.dumps(self._statistics())
            self._callbacks.append(lambda: self._properties["stats_cb"](text))

    def _statistics(self) -> dict[str, Any]:
        topics: dict[str, Any] = {}
        for key in sorted(self.owned):
            partitions = topics.setdefault(key[0], {"partitions": {}})["partitions"]
            partitions[str(key[1])] = self._partition_statistics(key)
        return {"brokers": {"1": {"state": "UP" if self._broker.is_up else "DOWN"}}, "topics": topics}

    def _partition_statistics(self, key: Key) -> dict[str, Any]:
        log, position = self._broker.log(key), self._positions.get(key)
        committed = self._coordinator.offsets.get(key)
        is_fetched = position is not None and position.next is not None
        return {
            "committed_offset": committed.offset if committed else OFFSET_INVALID,
            "lo_offset": log.start if log else -1,
            "hi_offset": log.end if log and is_fetched else -1,
            "ls_offset": log.last_stable if log and is_fetched else -1,
            "fetch_state": "active" if is_fetched else "stopped",
        }


def _numbers(keys: Sequence[Key]) -> list[int]:
    return [partition for _, partition in keys]


def _offsets(offsets: Sequence[TopicPartition]) -> str:
    return str({each.partition: each.offset for each in offsets})
