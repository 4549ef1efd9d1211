"""The consumer's loop: fills a batch while the previous one is written, and commits the offsets of finished batches.

Only the thread that calls `run` uses the Kafka client. The client's callbacks run in its polls.
"""

from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from structlog.typing import FilteringBoundLogger

from service.errors import Stopped
from service.handler.kafka.client.connection_errors import client_logger
from service.handler.kafka.client.consumer_group import ConsumerGroup
from service.handler.kafka.consumer.batch_builder import BatchBuilder
from service.handler.kafka.consumer.breaker_control import BreakerControl
from service.handler.kafka.consumer.client_errors import ClientErrors
from service.handler.kafka.consumer.collect import Prepare
from service.handler.kafka.consumer.decode import Decoder
from service.handler.kafka.consumer.fetch import FetchControl
from service.handler.kafka.consumer.lag import Lag
from service.handler.kafka.consumer.offsets import OffsetCommitter
from service.handler.kafka.consumer.outcome_report import report_outcome
from service.handler.kafka.consumer.partition_ends import PartitionEnds
from service.handler.kafka.consumer.resets import OffsetResets
from service.handler.kafka.consumer.settings import ConsumerSettings
from service.handler.kafka.consumer.state import FETCHING, ConsumerState, ConsumerStateMachine
from service.handler.kafka.consumer.statistics import Statistics
from service.handler.kafka.consumer.topic_identity import TopicIdentity
from service.handler.kafka.consumer.worker import BatchWorker, Finished
from service.pkg.run_with_timeout import run_with_timeout
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.batch import Batch
from service.usecases.ingest import Decision, Ingest, Outcome

if TYPE_CHECKING:
    from service.metrics import Metrics

IDLE_POLL_SECONDS: Final = 0.25
"""How long a poll blocks while nothing is written."""
WRITE_POLL_SECONDS: Final = 0.005
"""How long the loop waits for the end of a write when no message has arrived: short, because fetching continues."""
PAUSED_POLL_SECONDS: Final = 0.1
"""How long a poll blocks while fetching is paused: it only runs the client's callbacks."""
PAUSE_AFTER_SECONDS: Final = 1.0
"""How long a full batch waits before fetching is paused: pausing discards the prefetched messages."""
DRAIN_TIMEOUT_SECONDS: Final = 20.0
"""How long a shutdown waits for the batch that is being written."""
LAST_COMMIT_TIMEOUT_SECONDS: Final = 5.0
"""How long a shutdown waits for the broker to acknowledge the last commit."""
LEAVE_TIMEOUT_SECONDS: Final = 6.0
"""How long leaving the group may take: the client gives up after 5 s if the broker does not answer."""
WORKER_CLOSE_TIMEOUT_SECONDS: Final = 1.0
"""How long the writing thread may take to end before the group is left without it."""


class OrderConsumer:
    """One member of the consumer group."""

    def __init__(
        self,
        group: ConsumerGroup,
        *,
        decoder: Decoder,
        prepare: Prepare,
        ingest: Ingest,
        settings: ConsumerSettings,
        metrics: "Metrics",
        log: FilteringBoundLogger,
        stop: ShutdownEvent,
    ) -> None:
        self._topic = group.topic
        self._group = group
        self._revoke_timeout = settings.revoke_timeout
        self._metrics = metrics
        self._log = log
        self._stop = stop
        self._state = ConsumerStateMachine()
        self._builder = BatchBuilder(decoder, prepare, metrics)
        self._is_waiting_to_retry = ingest.is_waiting_to_retry
        self._worker = BatchWorker(ingest)
        self._breaker = BreakerControl(settings, metrics, log)
        self._errors = ClientErrors(group.topic, log)
        self._offsets = OffsetCommitter(group, metrics, log)
        self._consumer = self._connect(group.properties)
        self._fetch = FetchControl(self._consumer, metrics, log)
        self._identity = TopicIdentity(self._consumer, group, metrics, log)
        self._lag = Lag(self._consumer, group.topic, metrics)
        self._ends = PartitionEnds()
        self._resets = OffsetResets(self._consumer, group.topic, metrics, log)
        self._polled_at = monotonic()
        self.has_started = False

    def _connect(self, properties: dict[str, Any]) -> Consumer:
        return Consumer(
            {
                **properties,
                "auto.offset.reset": "error",  # OffsetResets resets offsets, and logs and counts it
                "on_commit": self._offsets.on_commit,
                "stats_cb": self._on_statistics,
                "error_cb": self._errors.on_error,
            },
            logger=client_logger(self._log),
        )

    @property
    def seconds_since_poll(self) -> float:
        """Seconds since the last iteration of the loop; for the liveness probe, from any thread."""
        return monotonic() - self._polled_at

    def run(self) -> None:
        """Block until a stop is requested; then finish the batch that is being written, commit it and leave the group.

        Raises KafkaClientFailed, or the error that ended a batch. Only finished batches are committed then.
        """
        self._consumer.subscribe(
            [self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )
        try:
            while not self._stop.is_set():
                self._poll_once()
            self._drain()
        except KafkaException as error:
            raise self._errors.log_failure(error.args[0]) from error
        finally:
            self._stop.set()
            self._worker.close(WORKER_CLOSE_TIMEOUT_SECONDS)
            self._leave_group()

    def _poll_once(self) -> None:
        self._polled_at = monotonic()
        self.has_started = True
        self._errors.raise_fatal()
        self._group.refresh(self._consumer)
        if finished := self._worker.take_finished():
            self._on_batch_done(finished)
        if self._state.current is ConsumerState.BREAKER_OPEN:
            self._wait_for_breaker()
        elif self._state.current is ConsumerState.PROBING and self._worker.is_free:
            self._probe()
        else:
            self._submit_batch()  # the batch that was filled during the last write
            self._fill()
            self._submit_batch()  # or the messages that have just arrived
        self._verify_positions()
        self._commit_partition_ends()
        self._offsets.commit(self._consumer)
        self._fetch.count_paused_time()
        # The client learns the ends of partitions by fetching, so the ends of the others are queried.
        self._lag.update(self._assigned() if self._fetch.is_paused else self._errors.partitions_without_offset)

    def _verify_positions(self) -> None:
        """Move partitions whose position belongs to a deleted topic of the same name, or is out of range."""
        if topic_id := self._identity.fetch_topic_id():
            partitions = self._assigned()
            self._builder.batch.drop(partitions)
            self._forget_partitions(partitions)
            self._identity.switch_topic(topic_id, partitions)
        moved = self._identity.verify()
        if not self._identity.awaits_topic_id:
            moved += self._resets.reset(self._identity.unverified)
        if moved:
            self._fetch.apply(moved)
            self._ends.forget(_partition_numbers(moved))

    # Reading

    def _receive(self, count: int, seconds: float) -> list[Message]:
        """Return at most `count` messages that arrive within `seconds`, and handle errors."""
        messages = []
        for message in self._consumer.consume(count, seconds):
            if (error := message.error()) is not None:
                self._on_message_error(message, error)
            else:
                messages.append(message)
        return self._identity.drop_unverified(messages)

    def _fill(self) -> None:
        if self._builder.batch.is_full(self._breaker.limits):
            self._wait_for_room()
            return
        messages = self._receive(self._builder.room(self._breaker.limits), 0)
        if not messages and self._worker.is_free:
            messages = self._receive(1, IDLE_POLL_SECONDS)
        elif not messages:
            self._worker.wait_finished(WRITE_POLL_SECONDS)
        self._builder.add(messages)

    def _wait_for_room(self) -> None:
        """Wait for the end of a write, which takes well under a second. A longer one is an outage: pause fetching."""
        if self._fetch.is_paused:
            self._builder.add(self._receive(1, PAUSED_POLL_SECONDS))
        elif not self._worker.wait_finished(PAUSE_AFTER_SECONDS):
            self._become(ConsumerState.PAUSED)

    def _submit_batch(self) -> None:
        """Start writing the next batch; after a stop, submit nothing: the batch before it may have been abandoned."""
        if self._worker.is_free and self._builder.batch.next_offsets and not self._stop.is_set():
            self._worker.submit(self._builder.take(self._breaker.probed_offsets))
            self._resume()

    def _resume(self) -> None:
        self._become(ConsumerState.PROBING if self._breaker.is_open else ConsumerState.RUNNING)

    def _become(self, state: ConsumerState) -> None:
        self._state.become(state)
        if state in FETCHING:
            self._fetch.resume()
        else:
            self._fetch.pause()

    # The end of a batch

    def _on_batch_done(self, finished: Finished) -> None:
        """Handle the outcome of a batch. Raises the error that ended it, unless it was a stop."""
        batch, outcome = finished.batch, finished.outcome
        if outcome is None:
            if finished.error is not None and not isinstance(finished.error, Stopped):
                raise finished.error
            return
        report_outcome(batch, outcome, finished.seconds, self._metrics, self._log)
        if outcome.decision is Decision.COMMIT:
            self._on_committable(batch, outcome)
        if self._breaker.on_outcome(batch, outcome, self._builder.batch):
            self._discard_and_pause()
        elif self._state.current is ConsumerState.PROBING:
            self._resume()

    def _on_committable(self, batch: Batch, outcome: Outcome) -> None:
        if not outcome.is_committed:
            self._offsets.advance(batch.commit_offsets)
        self._lag.advance(batch.commit_offsets, batch.last_timestamps_ms)
        self._resets.advance(batch.commit_offsets)

    def _commit_partition_ends(self) -> None:
        """Commit the ends of partitions that were read to the end and have no pending messages.

        Not while messages must be read again because of the circuit breaker.
        """
        if self._ends.is_empty or self._breaker.must_reread:
            return
        writing = self._worker.batch
        pending = self._builder.batch.next_offsets.keys() | (writing.next_offsets.keys() if writing else ())
        if ends := self._ends.take_committable(self._lag.done, pending):
            self._offsets.advance(ends)
            self._lag.advance(ends, {})
            self._resets.advance(ends)

    # The circuit breaker

    def _discard_and_pause(self) -> None:
        self._become(ConsumerState.BREAKER_OPEN)
        self._ends.clear()
        self._builder.discard(self._breaker.probed_offsets)

    def _wait_for_breaker(self) -> None:
        """Poll and skip messages until the pause ends; then continue where the circuit breaker opened."""
        for message in self._receive(1, PAUSED_POLL_SECONDS):
            self._breaker.skip(message)
        if monotonic() >= self._breaker.paused_until:
            self._seek(self._breaker.end_pause())
            self._resume()

    def _seek(self, offsets: dict[int, int]) -> None:
        for partition, offset in offsets.items():
            self._consumer.seek(TopicPartition(self._topic, partition, offset))

    def _probe(self) -> None:
        """Collect a whole probe, or all messages there are: the first message alone would prove nothing."""
        limits, batch = self._breaker.limits, self._builder.batch
        count = min(self._builder.room(limits), limits.messages - len(batch))
        messages = self._receive(count, IDLE_POLL_SECONDS)
        self._builder.add(messages)
        if not messages or batch.is_full(limits):
            self._submit_batch()
        if not messages and self._worker.is_free:
            self._seek(self._breaker.restart_probe())

    # Rebalancing: callbacks of a poll, in this thread

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.incremental_assign(partitions)
        self._offsets.on_assign()
        self._identity.add(_partition_numbers(partitions))
        self._fetch.apply(partitions)
        self._report_rebalance("assigned", partitions)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Commit finished batches before the partitions are revoked; their next owner reads the rest."""
        revoked = _partition_numbers(partitions)
        self._builder.batch.drop(revoked)
        self._wait_for_write(revoked)
        self._offsets.commit_now(consumer)
        self._forget_partitions(revoked)
        consumer.incremental_unassign(partitions)
        self._report_rebalance("revoked", partitions)

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Commit nothing: another member may own the partitions already."""
        lost = _partition_numbers(partitions)
        self._builder.batch.drop(lost)
        self._forget_partitions(lost)
        consumer.incremental_unassign(partitions)
        self._report_rebalance("lost", partitions)

    def _wait_for_write(self, revoked: frozenset[int]) -> None:
        """Wait for a running transaction with orders of these partitions, but not for a retry during an outage."""
        batch = self._worker.batch
        if batch is not None and revoked & batch.next_offsets.keys() and not self._is_waiting_to_retry.is_set():
            self._worker.wait_finished(self._revoke_timeout)
        if finished := self._worker.take_finished():
            if not _is_done(finished):  # the offsets of a batch that is done are still committed
                finished.batch.drop(revoked)
            self._on_batch_done(finished)

    def _forget_partitions(self, partitions: frozenset[int]) -> None:
        if (batch := self._worker.batch) is not None:
            batch.drop(partitions)
        self._breaker.forget(partitions)
        self._offsets.forget(partitions)
        self._ends.forget(partitions)
        self._identity.forget(partitions)
        self._resets.forget(partitions)
        self._lag.forget(partitions)

    def _report_rebalance(self, kind: str, partitions: list[TopicPartition]) -> None:
        self._metrics.rebalances.labels(kind).inc()
        self._log.info("partitions changed", kind=kind, partitions=sorted(_partition_numbers(partitions)))

    # Shutdown

    def _drain(self) -> None:
        """Wait for a running transaction, commit it, and poll until the broker has acknowledged the commit."""
        self._consumer.pause(self._consumer.assignment())
        self._worker.wait_finished(DRAIN_TIMEOUT_SECONDS if self._worker.batch else 0)
        if finished := self._worker.take_finished():
            self._on_batch_done(finished)
        uncommitted = self._count_uncommitted(finished)
        deadline = monotonic() + LAST_COMMIT_TIMEOUT_SECONDS
        while self._offsets.are_pending and monotonic() < deadline:
            self._offsets.commit(self._consumer)
            self._consumer.consume(1, PAUSED_POLL_SECONDS)
        self._offsets.abandon()
        self._log.info("drained", committed=self._offsets.are_committed and not uncommitted, uncommitted=uncommitted)

    def _count_uncommitted(self, finished: Finished | None) -> int:
        """Return the number of messages in the batch that is still being written, or that ended without a commit."""
        if self._worker.batch is not None:
            return len(self._worker.batch)
        return len(finished.batch) if finished and not _is_done(finished) else 0

    def _leave_group(self) -> None:
        """Leave, so that other members get the partitions at once and not after the session timeout."""
        try:
            run_with_timeout(LEAVE_TIMEOUT_SECONDS, self._consumer.close)
        except TimeoutError:
            self._log.warning("Kafka does not answer: the group is left when the session times out")

    # Callbacks of the client

    def _on_message_error(self, message: Message, error: KafkaError) -> None:
        partition, offset = message.partition() or 0, message.offset() or 0
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's name
            self._on_partition_end(partition, offset)
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 - librdkafka's name
            self._identity.on_out_of_range(partition)
            self._resets.add(partition)
        else:
            self._errors.on_message_error(message, error)

    def _on_partition_end(self, partition: int, offset: int) -> None:
        """Record how far a partition was read, unless messages before its end were withheld and are read again."""
        if not self._identity.withhold(partition, offset) and self._state.current is not ConsumerState.BREAKER_OPEN:
            self._ends.add(partition, offset)

    def _on_statistics(self, text: str) -> None:
        statistics = Statistics.read(text)
        self._metrics.dependency_up.labels("kafka").set(statistics.any_broker_is_up)
        assigned = self._assigned()
        committed, ends = statistics.committed(self._topic), statistics.ends(self._topic)
        self._lag.on_statistics({p: offset for p, offset in committed.items() if p in assigned}, ends)
        fetched = statistics.fetched(self._topic)
        self._identity.mark_position_known(fetched)
        self._errors.on_statistics(ends, assigned, fetched)

    def _assigned(self) -> frozenset[int]:
        return _partition_numbers(self._consumer.assignment())


def _is_done(finished: Finished) -> bool:
    return finished.outcome is not None and finished.outcome.decision is Decision.COMMIT


def _partition_numbers(partitions: list[TopicPartition]) -> frozenset[int]:
    return frozenset(each.partition for each in partitions)
