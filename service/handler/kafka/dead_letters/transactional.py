"""Produces dead letters exactly once: a batch's dead letters and offsets are one Kafka transaction.

It starts after the orders are committed in PostgreSQL, where storing them again changes nothing. Readers need
`isolation.level=read_committed`.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer

from service.entities.dead_letter import DeadLetter
from service.entities.partition import Partition
from service.errors import DeadLettersUnavailable, GroupChanged, KafkaRequestFailed
from service.handler.kafka.client import error_codes
from service.handler.kafka.client.consumer_group import ConsumerGroup
from service.handler.kafka.client.error_codes import TOO_LARGE, is_unrecoverable
from service.handler.kafka.client.error_phrases import remedy, topic_problem
from service.handler.kafka.client.timeouts import call_within
from service.handler.kafka.client.topic_id import TopicId, offsets_to_commit
from service.handler.kafka.dead_letters.delivery import DeliveryFailure, Payload, ReplaceableProducer, enqueue, flush
from service.handler.kafka.dead_letters.encoder import DeadLetterEncoder
from service.handler.kafka.dead_letters.transaction_checks import TRANSACTION_CALL_TIMEOUT_SECONDS, TransactionChecks
from service.usecases.ports.ingest import CommittableBatch

if TYPE_CHECKING:
    from service.entities.version import RecordCoordinates


_NOTHING_TO_DO: Final = "no action needed: the batch is dropped, and its messages are read again"


class _State(Enum):
    CLOSED = auto()
    """There is no producer, or one that is not initialized yet."""
    READY = auto()
    """The producer is initialized, and no transaction is open."""
    OPEN = auto()
    """A transaction has begun."""
    LOST = auto()
    """The producer was closed during a transaction. Kafka may have committed it if its answer was lost."""


class TransactionalDeadLetters:
    """Implements usecases.ports.ingest.DeadLetters. Not thread-safe.

    The properties set a `transactional.id`, and send each dead letter in a separate batch, so that the broker rejects
    only the one that is too large.
    """

    def __init__(
        self,
        properties: Callable[[], dict[str, Any]],
        topic: str,
        encoder: DeadLetterEncoder,
        group: ConsumerGroup,
        checks: TransactionChecks,
    ) -> None:
        self._producer = ReplaceableProducer(properties)
        self._topic = topic
        self._encoder = encoder
        self._group = group
        self._checks = checks
        self._state = _State.CLOSED
        self._fallbacks_used: Counter[RecordCoordinates] = Counter()
        """Number of encodings that were too large, by the coordinates of a dead letter's record."""

    def send_and_commit(self, batch: CommittableBatch, dead_letters: Sequence[DeadLetter]) -> bool:
        while True:
            fallbacks_used = self._fallbacks_used.total()
            try:
                error = self._attempt(dead_letters, batch)
            except GroupChanged as change:  # no transaction has begun
                raise DeadLettersUnavailable(str(change), dead_letters, _NOTHING_TO_DO) from None
            except KafkaRequestFailed as failure:  # nor here
                raise DeadLettersUnavailable(str(failure), dead_letters) from None
            if error is None:
                self._fallbacks_used.clear()
                return True
            if self._fallbacks_used.total() == fallbacks_used:  # a repetition would fail too
                problem = topic_problem("produce to", self._topic, error)
                raise DeadLettersUnavailable(problem, dead_letters, remedy(error))

    def set_sasl_credentials(self, username: str, password: str) -> None:
        """Pass these on to the producer. May be called by any thread."""
        self._producer.set_sasl_credentials(username, password)

    def close(self) -> None:
        """Drop an uncommitted transaction: the broker aborts it, at the latest after the transaction timeout."""
        self._producer.close()
        self._state = _State.CLOSED

    def _attempt(self, dead_letters: Sequence[DeadLetter], batch: CommittableBatch) -> KafkaError | None:
        """Return the error that ended the attempt, or None once it is committed."""
        try:
            producer = self._producer.get()
        except KafkaException as failure:
            error: KafkaError = failure.args[0]
            return error
        try:
            self._commit(producer, dead_letters, batch)
        except KafkaException as failure:
            error = failure.args[0]
            self._abort_or_close(producer, error)
            return error
        return None

    def _commit(self, producer: Producer, dead_letters: Sequence[DeadLetter], batch: CommittableBatch) -> None:
        # Read before `commit_offsets`. If partitions are revoked in between, the broker rejects this generation; if
        # the topic was recreated, the batch is dropped before the id changes.
        metadata, topic_ids = self._group.metadata, self._group.topic_ids
        offsets = batch.commit_offsets
        if self._initialize(producer, offsets, topic_ids) or not offsets:
            return
        owned = [dead_letter for dead_letter in dead_letters if dead_letter.record.topic_partition in offsets]
        if owned:
            # The reading thread looks the id up once a second: it may have read on in a recreated topic, which it will
            # read again from its beginning.
            self._checks.require_topics({dead_letter.record.topic for dead_letter in owned}, topic_ids)
        self._state = _State.OPEN
        producer.begin_transaction()
        self._produce(producer, owned)
        topic_partitions = offsets_to_commit(offsets, topic_ids, batch.leader_epochs)
        call_within(  # librdkafka#5456: it may exceed its own timeout
            TRANSACTION_CALL_TIMEOUT_SECONDS + 1,
            lambda: producer.send_offsets_to_transaction(topic_partitions, metadata, TRANSACTION_CALL_TIMEOUT_SECONDS),
        )
        _end_transaction(producer.commit_transaction)
        self._state = _State.READY

    def _initialize(
        self, producer: Producer, offsets: Mapping[Partition, int], topic_ids: Mapping[str, TopicId]
    ) -> bool:
        """Abort the transaction that the previous producer with this transactional id left open.

        Return whether that producer had committed these offsets although Kafka's answer was lost. No other member
        commits the offsets of this member's partitions.
        """
        if self._state is _State.READY:
            return False
        producer.init_transactions(TRANSACTION_CALL_TIMEOUT_SECONDS)
        is_outcome_unknown = bool(offsets) and self._state is _State.LOST
        was_committed = is_outcome_unknown and self._checks.have_committed(offsets, topic_ids)
        self._state = _State.READY
        return was_committed

    def _produce(self, producer: Producer, dead_letters: Sequence[DeadLetter]) -> None:
        """Block until all are acknowledged. Raises KafkaException.

        If messages were too large, the next attempt sends stubs of them.
        """
        failures: list[DeliveryFailure[DeadLetter]] = []
        for dead_letter in dead_letters:
            enqueue(producer, self._topic, self._encoded(dead_letter), failures)
        are_acknowledged = _flush_all(producer, failures)
        for dead_letter, error in failures:
            if error.code() in TOO_LARGE:
                self._use_fallback(dead_letter)
        if failures:
            raise KafkaException(failures[0][1])
        if not are_acknowledged:
            raise KafkaException(KafkaError(error_codes.TIMED_OUT))

    def _encoded(self, dead_letter: DeadLetter) -> Payload[DeadLetter]:
        encodings = [self._encoder.encode, *self._encoder.fallbacks]
        return encodings[self._fallbacks_used[dead_letter.record.coordinates]](dead_letter)

    def _use_fallback(self, dead_letter: DeadLetter) -> None:
        if self._fallbacks_used[dead_letter.record.coordinates] < len(self._encoder.fallbacks):
            self._fallbacks_used[dead_letter.record.coordinates] += 1

    def _abort_or_close(self, producer: Producer, error: KafkaError) -> None:
        """Abort the transaction. If that fails, close the producer: the next producer aborts the open transaction."""
        if self._state is _State.OPEN:
            can_abort = not _is_unanswered(error) and not is_unrecoverable(error)
            self._state = _State.READY if can_abort and _abort(producer) else _State.LOST
        if self._state is not _State.READY:
            self._producer.close()


def _is_unanswered(error: KafkaError) -> bool:
    return bool(error.code() == error_codes.TIMED_OUT)


def _flush_all(producer: Producer, failures: list[DeliveryFailure[DeadLetter]]) -> bool:
    """Block until all are acknowledged, or one has failed: the client then sends no others."""
    deadline = monotonic() + TRANSACTION_CALL_TIMEOUT_SECONDS
    return flush(producer, lambda: bool(failures) or monotonic() >= deadline)


def _abort(producer: Producer) -> bool:
    """Abort the transaction; return whether the broker has confirmed it."""
    try:
        _end_transaction(producer.abort_transaction)
    except KafkaException:
        return False
    return True


def _end_transaction(end: Callable[[float], None]) -> None:
    """End a transaction; retry once if the error is retriable. Raises KafkaException."""
    try:
        end(TRANSACTION_CALL_TIMEOUT_SECONDS)
    except KafkaException as error:
        if not error.args[0].retriable():
            raise
        end(TRANSACTION_CALL_TIMEOUT_SECONDS)
