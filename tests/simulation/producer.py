"""A simulated confluent_kafka.Producer: idempotent, or transactional if it has a `transactional.id`."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from service.entities.dead_letter_headers import Headers
from tests.simulation.broker import Broker, Fate, Loss, Request, error_of
from tests.simulation.client import read_metadata
from tests.simulation.partition_log import Payload

Report = Callable[[KafkaError | None, None], None]


class _Queued(NamedTuple):
    topic: str
    partition: int
    """Negative: any."""
    payload: Payload
    report: Report
    fate: Fate
    sent_at: float
    expires_at: float


class SimulatedProducer:
    def __init__(self, broker: Broker, properties: dict[str, Any], **_: object) -> None:
        self._broker = broker
        self._scheduler = broker.scheduler
        self._transaction: str = properties.get("transactional.id", "")
        self._transaction_seconds = properties.get("transaction.timeout.ms", 60_000) / 1_000
        self._message_seconds = properties.get("message.timeout.ms", 300_000) / 1_000
        self._epoch = -1
        self._queue: deque[_Queued] = deque()
        self._must_abort = False
        self._is_initialized = False
        self._is_open = False
        """Whether a transaction has begun."""

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int = -1,
        *,
        headers: Headers | None = None,
        on_delivery: Report,
    ) -> None:
        now, fate = self._scheduler.now, self._broker.take_fate(Request.PRODUCE)
        payload = Payload(key, value, headers, round(now * 1_000))
        sent_at = now + fate.seconds + self._broker.latency()
        self._queue.append(_Queued(topic, partition, payload, on_delivery, fate, sent_at, now + self._message_seconds))

    def flush(self, timeout: float) -> int:
        """Deliver and report messages for at most `timeout` seconds; return how many are left."""
        deadline = self._scheduler.now + timeout
        while self._queue:
            self._deliver()
            left = deadline - self._scheduler.now
            if not self._queue or left <= 0:
                break
            self._scheduler.delay(min(left, 0.02))
        return len(self._queue)

    def purge(self) -> None:
        self._queue.clear()

    def _deliver(self) -> None:
        """Deliver in order what has arrived or expired. A lost answer is asked for again until the message expires."""
        while self._queue:
            queued, now = self._queue[0], self._scheduler.now
            if self._must_abort:
                self._report(KafkaError(KafkaError._PURGE_QUEUE))
            elif now >= queued.expires_at:
                if queued.fate.loss is Loss.ANSWER and self._broker.is_up:
                    self._append(queued)
                self._report(KafkaError(KafkaError._MSG_TIMED_OUT))
            elif now < queued.sent_at or not self._broker.is_up or queued.fate.loss is not None:
                return
            elif queued.fate.error is not None:
                self._report(error_of(queued.fate.error))
            else:
                self._report(self._append(queued))

    def _append(self, queued: _Queued) -> KafkaError | None:
        """Append the message; return why the broker rejects it."""
        if self._transaction:
            try:
                self._broker.check_epoch(self._transaction, self._epoch)
            except KafkaException as error:
                problem: KafkaError = error.args[0]
                return problem
            self._broker.begin_transaction(self._transaction, self._transaction_seconds)
        topic = self._broker.topics.get(queued.topic)
        if topic is None:
            return KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)
        if queued.payload.bytes > topic.max_message_bytes:
            return KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)
        log = topic.logs[queued.partition] if queued.partition >= 0 else self._broker.random.choice(topic.logs)
        log.append(queued.payload, self._transaction or None)
        return None

    def _report(self, error: KafkaError | None) -> None:
        queued = self._queue.popleft()
        if error is not None and self._transaction:
            self._must_abort = True
        queued.report(error, None)

    # Transactions

    def init_transactions(self, timeout: float) -> None:
        _require(not self._is_initialized)
        self._epoch = self._broker.call(
            Request.INIT_TRANSACTIONS, timeout, lambda: self._broker.init_producer(self._transaction)
        )
        self._is_initialized = True

    def begin_transaction(self) -> None:
        _require(self._is_initialized and not self._is_open)
        self._is_open, self._must_abort = True, False

    def send_offsets_to_transaction(self, offsets: Sequence[TopicPartition], metadata: bytes, timeout: float) -> None:
        _require(self._is_open)
        member, generation = read_metadata(metadata)
        coordinator = self._broker.coordinator

        def effect() -> None:
            self._broker.check_epoch(self._transaction, self._epoch)
            error = coordinator.check_in_transaction(member, generation)
            if error is not None:
                self._must_abort = True
                raise KafkaException(error)
            self._broker.begin_transaction(self._transaction, self._transaction_seconds)
            coordinator.add_to_transaction(self._transaction, offsets)

        self._broker.call(Request.SEND_OFFSETS, timeout, effect)

    def commit_transaction(self, timeout: float) -> None:
        _require(self._is_open)
        if self.flush(timeout):
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        self._end(Request.COMMIT_TRANSACTION, timeout, commit=True)

    def abort_transaction(self, timeout: float) -> None:
        _require(self._is_open)
        self._queue.clear()
        self._end(Request.ABORT_TRANSACTION, timeout, commit=False)

    def _end(self, request: Request, timeout: float, *, commit: bool) -> None:
        _require(not (commit and self._must_abort))

        def effect() -> None:
            self._broker.check_epoch(self._transaction, self._epoch)
            self._broker.timeline.add(f"{request.value} {self._transaction}")
            self._broker.end_transaction(self._transaction, commit=commit)

        self._broker.call(request, timeout, effect)
        self._is_open = self._must_abort = False


def _require(is_allowed: bool) -> None:  # noqa: FBT001 - a condition
    """Raise KafkaException if the state of the producer does not allow a call."""
    if not is_allowed:
        raise KafkaException(KafkaError(KafkaError._STATE))
