"""The loop that reads Kafka: it fills one batch while the other is written, and commits what is done.

Everything that touches the client happens in the one thread that calls `run`; its polls serve the rebalance callbacks.
"""

from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from structlog.typing import FilteringBoundLogger

from service.entities.errors import CircuitBreakerOpen, KafkaClientFailed, ProbeSucceeded
from service.handler.kafka.client.connection_errors import LOG_INTERVAL_SECONDS, client_logger
from service.handler.kafka.client.error_phrases import phrase
from service.handler.kafka.client.fatal_errors import explanation, is_fatal, underlying_error
from service.handler.kafka.client.record import record_of
from service.handler.kafka.consumer.collect import Prepare, add_record
from service.handler.kafka.consumer.decode import Decoder
from service.handler.kafka.consumer.fetch import FetchControl
from service.handler.kafka.consumer.group_metadata import GroupMetadata
from service.handler.kafka.consumer.lag import Lag
from service.handler.kafka.consumer.offsets import Offsets
from service.handler.kafka.consumer.partition_ends import Ends
from service.handler.kafka.consumer.probe import Probe
from service.handler.kafka.consumer.resets import OffsetResets
from service.handler.kafka.consumer.statistics import PartitionEnd, Statistics
from service.handler.kafka.consumer.topic_identity import TopicIdentity
from service.handler.kafka.consumer.worker import BatchWorker, Finished
from service.pkg.log_throttle import LogThrottle
from service.pkg.run_with_timeout import run_with_timeout
from service.pkg.shutdown_event import ShutdownEvent, Stopped
from service.usecases.batch import Batch, BatchLimits
from service.usecases.ingest import Ingest, Outcome
from service.usecases.ports import Stored

if TYPE_CHECKING:
    from service.metrics import Metrics

_CHUNK: Final = 200
"""Messages taken from the client at once: few enough that a finished batch is noticed soon."""
_CHUNK_BYTES: Final = 2**21
"""And few enough that large ones don't swell the batch beyond its bytes; the client copies what it hands over."""
_IDLE_SECONDS: Final = 0.25
"""How long a poll waits while nothing is being written."""
_BUSY_SECONDS: Final = 0.005
"""How long the end of a write is waited for where no message is there: short, for fetching goes on."""
_PAUSED_SECONDS: Final = 0.1
"""How long a poll waits while fetching is paused: it serves the client's callbacks alone."""
_PATIENCE_SECONDS: Final = 1.0
"""A full batch waits so long for its turn before fetching is paused: pausing throws the prefetched messages away."""
_DRAIN_SECONDS: Final = 20.0
"""How long a stop waits for the batch that is being written."""
_COMMIT_SECONDS: Final = 5.0
"""How long a stop waits for the broker to acknowledge the last commit."""
_LEAVE_SECONDS: Final = 6.0
"""How long the client may take to leave the group: 5 s where the broker does not answer."""
_CLOSE_SECONDS: Final = 1.0
"""How long the writing thread may take to end before the group is left without it."""


_FIX_PRODUCER: Final = "mend the producer"
_FIX_SCHEMA: Final = "remove the constraint, trigger or column that makes PostgreSQL refuse orders"


@dataclass(frozen=True, slots=True)
class ConsumerSettings:
    """How much and how long; times in seconds."""

    limits: BatchLimits
    revoke_timeout: float = 5
    breaker_retry_after: float = 60
    breaker_probe_messages: int = 10


@dataclass(slots=True)
class BreakerPause:
    """The circuit breaker is open: until when, and where each partition is to be read again."""

    until: float
    offsets: dict[int, int]

    def pass_over(self, message: Message) -> None:
        """Take nothing of a message that came in spite of the pause, but for its place."""
        self.offsets.setdefault(message.partition() or 0, message.offset() or 0)

    def leave(self, partitions: frozenset[int]) -> None:
        for partition in partitions:
            self.offsets.pop(partition, None)


class OrderConsumer:
    """One member of the consumer group."""

    def __init__(
        self,
        member: GroupMetadata,
        *,
        decoder: Decoder,
        prepare: Prepare,
        ingest: Ingest,
        pace: ConsumerSettings,
        metrics: "Metrics",
        log: FilteringBoundLogger,
        stop: ShutdownEvent,
    ) -> None:
        self._topic = topic = member.topic
        self._decoder = decoder
        self._prepare = prepare
        self._ingest = ingest
        self._member = member
        self._pace = pace
        self._metrics = metrics
        self._log = log
        self._stop = stop
        self._seldom = LogThrottle(LOG_INTERVAL_SECONDS)
        self._consumer = self._connect(member.properties)
        self._fetch = FetchControl(self._consumer, metrics, log)
        self._offsets = Offsets(member)
        self._identity = TopicIdentity(self._consumer, member, metrics, log)
        self._lag = Lag(self._consumer, topic, metrics)
        self._ends = Ends()
        self._resets = OffsetResets(self._consumer, topic, metrics, log)
        self._writer = BatchWorker(ingest)
        self._decode_seconds = 0.0
        self._message_bytes = 1
        self._breaker_pause: BreakerPause | None = None
        self._probe: Probe | None = None
        self._tried: dict[int, int] = {}
        self._open = Batch()
        self._waiting: frozenset[int] = frozenset()
        self._open_transactions: dict[int, int] = {}
        self._polled_at = monotonic()
        self._fatal: KafkaError | None = None
        self.has_started = False

    def _connect(self, properties: dict[str, Any]) -> Consumer:
        return Consumer(
            {
                **properties,
                "auto.offset.reset": "error",  # a reset is ours to do, after it was logged and counted
                "on_commit": self._on_commit,
                "stats_cb": self._on_statistics,
                "error_cb": self._on_error,
            },
            logger=client_logger(self._log),
        )

    @property
    def seconds_since_poll(self) -> float:
        """How long ago the loop last turned; for the liveness probe, from any thread."""
        return monotonic() - self._polled_at

    def run(self) -> None:
        """Block until a stop is asked for; then finish the batch that is being written, commit it and leave the group.

        Raises KafkaClientFailed, or whatever else ended the loop; then nothing that is not done is committed.
        """
        self._consumer.subscribe(
            [self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )
        try:
            while not self._stop.is_set():
                self._poll_once()
            self._drain()
        except KafkaException as error:
            raise self._failed(error.args[0]) from error
        finally:
            self._stop.set()
            self._writer.close(_CLOSE_SECONDS)
            self._leave_group()

    def _poll_once(self) -> None:
        self._polled_at = monotonic()
        self.has_started = True
        if self._fatal is not None:
            raise KafkaException(self._fatal)
        self._member.refresh(self._consumer)
        if finished := self._writer.take_finished():
            self._on_batch_done(finished)
        if self._breaker_pause is not None:
            self._wait_in_pause(self._breaker_pause)
        elif self._probing and self._writer.is_free:
            self._probe_messages()
        else:
            self._submit_batch()
            self._fill()
            self._submit_batch()
        self._verify_positions()
        self._commit_partition_ends()
        self._offsets.commit(self._consumer)
        self._fetch.count()
        self._lag.look(_numbers(self._consumer.assignment()) if self._fetch.is_paused else self._waiting)

    def _verify_positions(self) -> None:
        """Read on elsewhere where the position is of a log that was deleted, or is no longer in the log."""
        if topic_id := self._identity.fetch_topic_id():
            partitions = _numbers(self._consumer.assignment())
            self._open.drop(partitions)
            self._forget_partitions(partitions)
            self._identity.begin(topic_id, partitions)
        moved = self._identity.verify()
        if not self._identity.is_in_doubt:
            moved += self._resets.reset(self._identity.unverified)
        if moved:
            self._fetch.apply(moved)
            self._ends.forget(_numbers(moved))

    def _receive(self, count: int, seconds: float) -> list[Message]:
        """Return what comes within the time, at most so many messages; errors are dealt with."""
        messages = []
        for message in self._consumer.consume(count, seconds):
            if (error := message.error()) is not None:
                self._on_message_error(message, error)
            else:
                messages.append(message)
        return self._identity.admitted(messages)

    def _fill(self) -> None:
        if self._open.is_full(self._limits):
            self._wait_for_room()
            return
        messages = self._receive(self._room(), 0)
        if not messages and self._writer.is_free:
            messages = self._receive(1, _IDLE_SECONDS)
        elif not messages:
            self._writer.wait_finished(_BUSY_SECONDS)
        self._add_all(messages)

    def _room(self) -> int:
        """Return how many messages to take at once, if they are as large as the last ones: 1 at least."""
        left = min(_CHUNK_BYTES, self._limits.bytes - self._open.bytes)
        return max(1, min(_CHUNK, self._limits.messages, left // self._message_bytes))

    def _wait_for_room(self) -> None:
        """Wait: a write takes well under a second. Whatever takes longer is an outage, in which polling must go on."""
        if self._fetch.is_paused:
            self._add_all(self._receive(1, _PAUSED_SECONDS))
        elif not self._writer.wait_finished(_PATIENCE_SECONDS):
            self._fetch.pause()

    def _add_all(self, messages: list[Message]) -> None:
        began, before = monotonic(), self._open.bytes
        for message in messages:
            record = record_of(message)
            self._metrics.unreadable_headers.inc(record.headers is None)
            add_record(record, self._open, self._decoder, self._prepare)
        self._decode_seconds += monotonic() - began
        if messages:
            self._message_bytes = max(1, (self._open.bytes - before) // len(messages))

    def _submit_batch(self) -> None:
        """Let the next batch be written, but none after a stop: what lies before it may just have been given up."""
        if self._writer.is_free and self._open.next_offsets and not self._stop.is_set():
            self._metrics.consumed.inc(len(self._open))
            self._metrics.batch_messages.observe(len(self._open))
            self._metrics.batch_seconds.labels("decode").observe(self._decode_seconds)
            self._writer.submit(self._open)
            self._open, self._decode_seconds = Batch(tried=self._tried), 0.0
            self._fetch.resume()

    def _on_batch_done(self, finished: Finished) -> None:
        """Take a batch back: what is done may be committed, what is not begins anew or ends the loop."""
        batch, outcome, error = finished.batch, finished.outcome, finished.error
        if outcome is not None:
            self._metrics.batch_seconds.labels("write").observe(finished.seconds)
            self._count(outcome, batch)
            if not outcome.is_committed:
                self._offsets.advance(batch.end)
            self._tried = {p: offset for p, offset in self._tried.items() if batch.end.get(p, 0) < offset}
            self._lag.advance(batch.end, batch.last_ms)
            self._resets.advance(batch.end)
            if self._ingest.is_breaker_open:
                problem = "most of the messages that were tried are bad"
                self._open_breaker(problem, _FIX_PRODUCER, self._open.beginning)
            else:
                self._metrics.circuit_breaker_open.set(0)
        elif isinstance(error, CircuitBreakerOpen):
            self._count_stored(self._ingest.stored)
            self._hold_back(batch, str(error))
        elif isinstance(error, ProbeSucceeded):
            self._count_stored(self._ingest.stored)
            self._on_probe_succeeded(batch)
        elif error is not None and not isinstance(error, Stopped):
            raise error

    def _commit_partition_ends(self) -> None:
        """Commit the ends that were reached, of partitions of which nothing is pending: filled, written or withheld.

        Not while the circuit breaker holds back messages that lie before them.
        """
        if self._ends.is_empty or self._breaker_pause is not None or self._probing or self._probe is not None:
            return
        writing = self._writer.batch
        pending = self._open.next_offsets.keys() | (writing.next_offsets.keys() if writing else ())
        if passed := self._ends.passed(self._lag.done, pending):
            self._offsets.advance(passed)
            self._lag.advance(passed, {})
            self._resets.advance(passed)

    def _count(self, outcome: Outcome, batch: Batch) -> None:
        self._count_stored(outcome.stored)
        self._metrics.tombstones.inc(batch.tombstones)
        for dead_letter in outcome.dead_letters:
            self._metrics.dead_letters.labels(dead_letter.reason).inc()
            self._log.warning(
                "dead letter", reason=dead_letter.reason, detail=dead_letter.detail,
                partition=dead_letter.partition, offset=dead_letter.message.offset,
            )  # fmt: skip

    def _count_stored(self, stored: Stored) -> None:
        self._metrics.stored.inc(stored.new)
        self._metrics.replaced.inc(stored.replaced)
        self._metrics.unchanged.inc(stored.unchanged)
        self._metrics.stale.inc(stored.stale)
        self._metrics.erased_skipped.inc(stored.erased)
        self._metrics.dependency_up.labels("postgresql").set(1)

    # The circuit breaker

    @property
    def _limits(self) -> BatchLimits:
        if not self._probing:
            return self._pace.limits
        return replace(
            self._pace.limits, messages=self._probe.size if self._probe else self._pace.breaker_probe_messages
        )

    @property
    def _probing(self) -> bool:
        return self._ingest.is_breaker_open

    def _hold_back(self, batch: Batch, problem: str) -> None:
        """Hold a flood back where it begins; where PostgreSQL refuses orders, try others the next time."""
        if not self._ingest.is_probing_orders:
            self._open_breaker(problem, _FIX_PRODUCER, self._open.beginning | batch.beginning)
            return
        if self._probe is None:
            self._probe = Probe.before(batch, self._open, self._pace.breaker_probe_messages)
        else:
            self._probe.add(batch, self._open)
            self._probe.grow(self._pace.limits.messages)
        self._open_breaker(problem, _FIX_SCHEMA, dict(self._probe.next))

    def _on_probe_succeeded(self, batch: Batch) -> None:
        """Read again all that was held back: what is refused now is to blame itself, and is dead-lettered."""
        if self._probe is not None:
            self._probe.add(batch, self._open)
            self._tried, held = self._probe.tried, self._probe.held
            self._log.warning("the circuit breaker is closed: PostgreSQL stores orders again")
            self._metrics.circuit_breaker_open.set(0)
            self._pause_until(monotonic(), held)
        self._probe = None

    def _open_breaker(self, problem: str, what_to_do: str, offsets: dict[int, int]) -> None:
        """Stand still before the offsets: nothing from there on is committed, and no dead letter was sent."""
        self._metrics.circuit_breaker_open.set(1)
        self._log.error(
            "the circuit breaker is open: nothing more is dead-lettered",
            problem=problem,
            retry_after_seconds=self._pace.breaker_retry_after,
            what_to_do=f"{what_to_do}, or set ORDERS_CIRCUIT_BREAKER__ENABLED=false to dead-letter them all",
        )
        self._pause_until(monotonic() + self._pace.breaker_retry_after, offsets)

    def _pause_until(self, moment: float, offsets: dict[int, int]) -> None:
        self._fetch.pause()
        self._breaker_pause = BreakerPause(moment, offsets)
        self._ends.clear()
        self._open = Batch(tried=self._tried)

    def _wait_in_pause(self, standing: BreakerPause) -> None:
        """Poll, and take nothing of what may still come: reading begins anew where the circuit breaker opened."""
        for message in self._receive(1, _PAUSED_SECONDS):
            standing.pass_over(message)
        if monotonic() >= standing.until:
            self._seek(standing.offsets)
            self._breaker_pause = None
            self._fetch.resume()
            if self._probe is not None:
                self._probe.began = monotonic()

    def _seek(self, offsets: dict[int, int]) -> None:
        for partition, offset in offsets.items():
            self._consumer.seek(TopicPartition(self._topic, partition, offset))

    def _probe_messages(self) -> None:
        """Collect all that is to be tried, or all that there is: the first message alone would prove nothing."""
        messages = self._receive(min(self._room(), self._limits.messages - len(self._open)), _IDLE_SECONDS)
        self._add_all(messages)
        if not messages or self._open.is_full(self._limits):
            self._submit_batch()
        if self._probe is not None and not messages and self._writer.is_free and self._probe.is_at_end(monotonic()):
            self._seek(self._probe.rewind())

    # Rebalancing: served by a poll, in this thread

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.incremental_assign(partitions)
        self._offsets.reassigned()
        self._identity.add(_numbers(partitions))
        self._fetch.apply(partitions)
        self._report_rebalance("assigned", partitions)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Give the partitions back with all committed that is done; the rest is the next owner's."""
        leaving = _numbers(partitions)
        self._open.drop(leaving)
        self._wait_for_write(leaving)
        try:
            self._offsets.commit_now(consumer)
        except KafkaException as error:
            self._metrics.commit_failures.inc()
            self._log.warning("a commit failed while partitions were revoked", code=error.args[0].name())
        self._forget_partitions(leaving)
        consumer.incremental_unassign(partitions)
        self._report_rebalance("revoked", partitions)

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Another member may own them already: nothing may be committed for them."""
        leaving = _numbers(partitions)
        self._open.drop(leaving)
        self._forget_partitions(leaving)
        consumer.incremental_unassign(partitions)
        self._report_rebalance("lost", partitions)

    def _wait_for_write(self, leaving: frozenset[int]) -> None:
        """Wait for a running transaction that concerns the partitions; an outage is not waited out."""
        batch = self._writer.batch
        if batch is not None and leaving & batch.next_offsets.keys() and self._ingest.busy:
            self._writer.wait_finished(self._pace.revoke_timeout)
        if finished := self._writer.take_finished():
            if finished.outcome is None:
                finished.batch.drop(leaving)
            self._on_batch_done(finished)

    def _forget_partitions(self, partitions: frozenset[int]) -> None:
        if (batch := self._writer.batch) is not None:
            batch.drop(partitions)
        if self._breaker_pause is not None:
            self._breaker_pause.leave(partitions)
        if self._probe is not None:
            self._probe.leave(partitions)
        self._tried = {p: offset for p, offset in self._tried.items() if p not in partitions}
        self._offsets.forget(partitions)
        self._ends.forget(partitions)
        self._identity.forget(partitions)
        self._resets.forget(partitions)
        self._lag.forget(partitions)

    def _report_rebalance(self, kind: str, partitions: list[TopicPartition]) -> None:
        self._metrics.rebalances.labels(kind).inc()
        self._log.info("partitions changed", kind=kind, partitions=sorted(_numbers(partitions)))

    # The end

    def _drain(self) -> None:
        """Let a running transaction end, commit it, and poll until the broker has acknowledged."""
        self._consumer.pause(self._consumer.assignment())
        self._writer.wait_finished(_DRAIN_SECONDS if self._writer.batch else 0)
        if finished := self._writer.take_finished():
            self._on_batch_done(finished)
        given_up = len(self._writer.batch or ()) or (len(finished.batch) if finished and not finished.outcome else 0)
        deadline = monotonic() + _COMMIT_SECONDS
        while self._offsets.are_pending and monotonic() < deadline:
            self._offsets.commit(self._consumer)
            self._consumer.consume(1, _PAUSED_SECONDS)
        self._offsets.give_up()
        self._log.info("drained", committed=self._offsets.are_committed and not given_up, given_up=given_up)

    def _leave_group(self) -> None:
        """Let the others have the partitions at once, if the broker answers; else they wait for the session's end."""
        try:
            run_with_timeout(_LEAVE_SECONDS, self._consumer.close)
        except TimeoutError:
            self._log.warning("Kafka does not answer: the group is left by the session's end")

    # What the client reports

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        self._metrics.batch_seconds.labels("commit").observe(self._offsets.seconds_since_asked)
        if not self._offsets.acknowledged(error, partitions):
            self._metrics.commit_failures.inc()
            self._log.warning("a commit failed and will be repeated", code=error.name() if error else "partition")

    def _on_message_error(self, message: Message, error: KafkaError) -> None:
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's name
            self._on_partition_end(message.partition() or 0, message.offset() or 0)
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 - librdkafka's name
            self._identity.doubt(message.partition() or 0)
            self._resets.add(message.partition() or 0)
        elif is_fatal(error):
            self._fatal = self._fatal or error
        elif error.code() == KafkaError._BAD_COMPRESSION:  # noqa: SLF001 - librdkafka's name
            self._on_bad_compression(message)
        elif error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            self._log.error("the topic does not exist: `orders migrate` creates it", topic=self._topic)
        elif problem := explanation(error):
            if self._seldom.is_due(error.name()):
                self._log.error("the group refuses this member", code=error.name(), problem=problem)
        else:
            self._log.warning("Kafka reports a problem", code=error.name(), topic=self._topic)

    def _on_partition_end(self, partition: int, offset: int) -> None:
        """Note how far a partition was read, unless what lies before it was withheld or passed over: it comes again."""
        if not self._identity.withholds(partition, offset) and self._breaker_pause is None:
            self._ends.add(partition, offset)

    def _on_bad_compression(self, message: Message) -> None:
        """Say where a partition stands still: the client tries again twice a second, and passes nothing over."""
        if self._seldom.is_due("a batch that can't be decompressed"):
            partition, offset = message.partition(), message.offset()
            self._log.error(
                "a batch of messages can't be decompressed: its partition stands still",
                partition=partition,
                offset=offset,
                what_to_do="set a larger receive.message.max.bytes in ORDERS_KAFKA__PROPERTIES, with memory for it; or "
                f"stop the consumers and save the batch with `orders skip-batch {partition} {offset} --to FILE`",
            )

    def _on_error(self, error: KafkaError) -> None:
        if is_fatal(error):
            self._fatal = error
        elif self._seldom.is_due(error.name()):
            self._log.warning("Kafka reports a problem", code=error.name())

    def _failed(self, error: KafkaError) -> KafkaClientFailed:
        error = underlying_error(error)
        code, problem = error.name(), explanation(error) or phrase(error)
        self._log.error("the Kafka client has failed, the process ends", code=code, problem=problem)
        return KafkaClientFailed(f"the Kafka client has failed ({code}): {problem}")

    def _on_statistics(self, text: str) -> None:
        statistics = Statistics.read(text)
        self._metrics.dependency_up.labels("kafka").set(statistics.any_broker_is_up)
        assigned = _numbers(self._consumer.assignment())
        committed, ends = statistics.committed(self._topic), statistics.ends(self._topic)
        self._lag.learn({p: at for p, at in committed.items() if p in assigned}, ends)
        self._warn_of_transactions(ends, assigned)
        fetched = statistics.fetched(self._topic)
        self._identity.readable(fetched)
        self._warn_of_waiting(assigned - fetched)

    def _warn_of_transactions(self, ends: dict[int, PartitionEnd], assigned: frozenset[int]) -> None:
        """Log open transactions that began before the last statistics already, now and then."""
        open_at = {p: end.stable for p, end in ends.items() if end.locked and p in assigned}
        lasting = {p: at for p, at in open_at.items() if self._open_transactions.get(p) == at}
        self._open_transactions = open_at
        if lasting and self._seldom.is_due("open transactions"):
            self._log.warning(
                "a producer's open transaction holds back what lies behind it",
                partitions=sorted(lasting), messages=sum(ends[p].locked for p in lasting),
            )  # fmt: skip

    def _warn_of_waiting(self, partitions: frozenset[int]) -> None:
        """Log partitions that waited at the last statistics already.

        The client repeats its question for their offsets without a word.
        """
        if lasting := self._waiting & partitions:
            self._log.warning(
                "Kafka does not tell where to read on: it is away, or a transaction holds the group's offsets",
                partitions=sorted(lasting),
            )
        self._waiting = partitions


def _numbers(partitions: list[TopicPartition]) -> frozenset[int]:
    return frozenset(place.partition for place in partitions)
