"""Produces dead letters exactly once: a batch's dead letters and offsets are one Kafka transaction.

It starts after the orders are committed in PostgreSQL, where storing them again changes nothing. Readers need
`isolation.level=read_committed`.
"""

from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer

from service.entities.dead_letter import DeadLetter
from service.errors import DeadLettersUnavailable
from service.handler.kafka.client.consumer_group import ConsumerGroup
from service.handler.kafka.client.timeouts import call_within
from service.handler.kafka.dead_letters.delivery import (
    TOO_LARGE,
    DeliveryFailure,
    Payload,
    ReplaceableProducer,
    enqueue,
    is_unrecoverable,
)
from service.handler.kafka.dead_letters.encoder import DeadLetterEncoder
from service.usecases.batch import Batch

_CALL_TIMEOUT_SECONDS: Final = 5.0
"""How long a call may take: three of them fit into the time of a stop."""
_FLUSH_INTERVAL_SECONDS: Final = 0.1


class TransactionalDeadLetters:
    """Implements usecases.ports.DeadLetters. For one thread.

    The properties set a `transactional.id`, and send each dead letter as a batch of its own, so that the broker rejects
    only the one that is too large.
    """

    def __init__(
        self, properties: dict[str, Any], topic: str, encoder: DeadLetterEncoder, group: ConsumerGroup
    ) -> None:
        self._producer = ReplaceableProducer(properties)
        self._topic = topic
        self._encoder = encoder
        self._group = group
        self._is_initialized = False
        self._is_open = False
        self._is_outcome_unknown = False
        self._fallbacks_used: dict[tuple[int, int], int] = {}
        """By partition and offset of a dead letter: how many of its encodings were too large."""
        self._has_fallback = False

    def send_and_commit(self, batch: Batch, dead_letters: Sequence[DeadLetter]) -> bool:
        while (error := self._attempt(dead_letters, batch)) is not None:
            if not self._has_fallback:
                raise DeadLettersUnavailable(f"{self._topic}: no transaction ({error.name()})", dead_letters)
        self._fallbacks_used.clear()
        return True

    def close(self) -> None:
        """Drop an uncommitted transaction: the broker aborts it, at the latest after the transaction timeout."""
        self._producer.close()
        self._is_initialized = False

    def _attempt(self, dead_letters: Sequence[DeadLetter], batch: Batch) -> KafkaError | None:
        """Return the error that ended the attempt, or None once it is committed."""
        producer, self._is_open, self._has_fallback = self._producer.get(), False, False
        try:
            self._commit(producer, dead_letters, batch)
        except KafkaException as failure:
            error: KafkaError = failure.args[0]
            self._abort_or_close(producer, error)
            return error
        return None

    def _commit(self, producer: Producer, dead_letters: Sequence[DeadLetter], batch: Batch) -> None:
        # Read before `commit_offsets`. If partitions are revoked in between, the broker rejects this generation; if
        # the topic was recreated, the batch is dropped before the id changes.
        metadata, topic_id = self._group.metadata, self._group.topic_id
        offsets = batch.commit_offsets
        self._initialize(producer)
        if not offsets or self._was_committed(offsets):
            return
        owned = [dead_letter for dead_letter in dead_letters if dead_letter.partition in offsets]
        if owned:
            # The reading thread looks the id up once a second: it may have read on in a recreated topic, which it will
            # read again from its beginning.
            self._group.require_topic(topic_id)
        self._is_open = True
        producer.begin_transaction()
        self._produce(producer, owned)
        topic_partitions = self._group.offsets_to_commit(offsets, topic_id)
        call_within(  # librdkafka#5456: it may exceed its own timeout
            _CALL_TIMEOUT_SECONDS + 1,
            lambda: producer.send_offsets_to_transaction(topic_partitions, metadata, _CALL_TIMEOUT_SECONDS),
        )
        _end_transaction(producer.commit_transaction)

    def _initialize(self, producer: Producer) -> None:
        """Abort the transaction that the previous producer with this transactional id left open."""
        if not self._is_initialized:
            self._group.reject_mock()
            producer.init_transactions(_CALL_TIMEOUT_SECONDS)
            self._is_initialized = True

    def _was_committed(self, offsets: Mapping[int, int]) -> bool:
        """Return whether the last transaction was committed, if Kafka did not answer.

        No other member commits the offsets of this member's partitions.
        """
        was_committed = self._is_outcome_unknown and self._group.have_committed(offsets)
        self._is_outcome_unknown = False
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
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 - librdkafka's name

    def _encoded(self, dead_letter: DeadLetter) -> Payload[DeadLetter]:
        return [self._encoder.encode, *self._encoder.fallbacks][self._fallbacks_used.get(_position(dead_letter), 0)](
            dead_letter
        )

    def _use_fallback(self, dead_letter: DeadLetter) -> None:
        tried = self._fallbacks_used.get(_position(dead_letter), 0)
        if tried < len(self._encoder.fallbacks):
            self._fallbacks_used[_position(dead_letter)] = tried + 1
            self._has_fallback = True

    def _abort_or_close(self, producer: Producer, error: KafkaError) -> None:
        """Abort the transaction. If that is impossible, close the producer: the next one aborts what is still open."""
        if self._is_open and (_is_unanswered(error) or is_unrecoverable(error) or not _abort(producer)):
            self._is_outcome_unknown = True
            self.close()
        elif not self._is_initialized:
            self.close()


def _is_unanswered(error: KafkaError) -> bool:
    return bool(error.code() == KafkaError._TIMED_OUT)  # noqa: SLF001 - librdkafka's name


def _position(dead_letter: DeadLetter) -> tuple[int, int]:
    return dead_letter.partition, dead_letter.message.offset


def _flush_all(producer: Producer, failures: list[DeliveryFailure[DeadLetter]]) -> bool:
    """Block until all are acknowledged, or one has failed: the client then sends no others."""
    deadline = monotonic() + _CALL_TIMEOUT_SECONDS
    while producer.flush(_FLUSH_INTERVAL_SECONDS):
        if failures or monotonic() >= deadline:
            return False
    return True


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
        end(_CALL_TIMEOUT_SECONDS)
    except KafkaException as error:
        if not error.args[0].retriable():
            raise
        end(_CALL_TIMEOUT_SECONDS)
