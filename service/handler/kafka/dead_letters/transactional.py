"""The dead-letter topic, sent to exactly once: a batch's dead letters and its offsets are one Kafka transaction.

It is begun after the orders are in PostgreSQL, whose transactions know nothing of Kafka's: what is done twice there
changes nothing. Readers see dead letters once they are committed, with `isolation.level=read_committed`.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer

from service.entities.dead_letter import DeadLetter
from service.entities.errors import DeadLettersUnavailable
from service.handler.kafka.consumer.group_metadata import GroupMetadata
from service.handler.kafka.dead_letters.delivery import DeliveryFailure, abandon, enqueue
from service.handler.kafka.dead_letters.encoder import TOO_LARGE, DeadLetterEncoder, Payload, is_for_good
from service.pkg.run_with_timeout import run_with_timeout
from service.usecases.batch import Batch

_CALL_SECONDS: Final = 5.0
"""How long a call may take, so that three of them fit into the time that a stop has."""
_LOOK_SECONDS: Final = 0.1


class TransactionalDeadLetters:
    """Implements usecases.ports.DeadLetters. For one thread.

    The properties set a `transactional.id`, and send each dead letter as a batch of its own, so that the broker rejects
    only the one that is too large.
    """

    def __init__(
        self, properties: dict[str, Any], topic: str, encoder: DeadLetterEncoder, member: GroupMetadata
    ) -> None:
        self._properties = properties
        self._topic = topic
        self._encoder = encoder
        self._member = member
        self._producer: Producer | None = None
        self._is_ready = False
        self._has_begun = False
        self._is_in_doubt = False
        self._tried: dict[tuple[int, int], int] = {}
        """By place of a dead letter: how many of its forms were too large."""
        self._has_smaller = False

    def finish(self, batch: Batch, dead_letters: Sequence[DeadLetter]) -> bool:
        while (error := self._attempt(dead_letters, batch)) is not None:
            if not self._has_smaller:
                raise DeadLettersUnavailable(f"{self._topic}: no transaction ({error.name()})", dead_letters)
        self._tried.clear()
        return True

    def close(self) -> None:
        """Forget what is not committed; the broker aborts it, at the latest after the transaction timeout."""
        if self._producer is not None:
            abandon(self._producer)
            self._producer, self._is_ready = None, False

    def _attempt(self, dead_letters: Sequence[DeadLetter], batch: Batch) -> KafkaError | None:
        """Return what ended the attempt before it was committed; None where it is."""
        producer, self._has_begun, self._has_smaller = self._made(), False, False
        try:
            self._commit(producer, dead_letters, batch)
        except KafkaException as failure:
            error: KafkaError = failure.args[0]
            self._give_up(producer, error)
            return error
        return None

    def _made(self) -> Producer:
        if self._producer is None:
            self._producer = Producer(self._properties, logger=logging.getLogger("librdkafka"))
        return self._producer

    def _commit(self, producer: Producer, dead_letters: Sequence[DeadLetter], batch: Batch) -> None:
        # The metadata first: what is taken away from us after that is of a generation which the broker then refuses.
        # So for the log's id: when it changes, first everything that was read before is dropped.
        metadata, topic_id = self._member.metadata, self._member.topic_id
        offsets = batch.end
        self._prepare(producer)
        if not offsets or self._was_committed(offsets):
            return
        self._has_begun = True
        producer.begin_transaction()
        self._produce(producer, [dead_letter for dead_letter in dead_letters if dead_letter.partition in offsets])
        places = self._member.places(offsets, topic_id)
        _bounded(lambda: producer.send_offsets_to_transaction(places, metadata, _CALL_SECONDS))
        _patiently(producer.commit_transaction)

    def _prepare(self, producer: Producer) -> None:
        """Let a new producer end what the last one of its name left open."""
        if not self._is_ready:
            self._member.refuse_mock()
            producer.init_transactions(_CALL_SECONDS)
            self._is_ready = True

    def _was_committed(self, offsets: Mapping[int, int]) -> bool:
        """Tell whether the transaction whose end nobody told us was committed: nobody else commits our partitions."""
        was_committed = self._is_in_doubt and self._member.have_committed(offsets)
        self._is_in_doubt = False
        return was_committed

    def _produce(self, producer: Producer, dead_letters: Sequence[DeadLetter]) -> None:
        """Block until all are acknowledged. Raises KafkaException; what was too large goes in a smaller form next."""
        failures: list[DeliveryFailure] = []
        for dead_letter in dead_letters:
            enqueue(producer, self._topic, self._formed(dead_letter), failures)
        are_reported = _all_reported(producer, failures)
        for dead_letter, error in failures:
            if error.code() in TOO_LARGE:
                self._shrink(dead_letter)
        if failures:
            raise KafkaException(failures[0][1])
        if not are_reported:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 - librdkafka's name

    def _formed(self, dead_letter: DeadLetter) -> Payload:
        return [self._encoder.encode, *self._encoder.fallbacks][self._tried.get(_place(dead_letter), 0)](dead_letter)

    def _shrink(self, dead_letter: DeadLetter) -> None:
        tried = self._tried.get(_place(dead_letter), 0)
        if tried < len(self._encoder.fallbacks):
            self._tried[_place(dead_letter)] = tried + 1
            self._has_smaller = True

    def _give_up(self, producer: Producer, error: KafkaError) -> None:
        """Abort, or where even that is not possible begin with a new producer: it will end the transaction."""
        if self._has_begun and (_is_unanswered(error) or is_for_good(error) or not _is_aborted(producer)):
            self._is_in_doubt = True
            self.close()
        elif not self._is_ready:
            self.close()


def _is_unanswered(error: KafkaError) -> bool:
    return bool(error.code() == KafkaError._TIMED_OUT)  # noqa: SLF001 - librdkafka's name


def _place(dead_letter: DeadLetter) -> tuple[int, int]:
    return dead_letter.partition, dead_letter.message.offset


def _all_reported(producer: Producer, failures: list[DeliveryFailure]) -> bool:
    """Block until all are acknowledged, or one has failed: the client then sends none of the others."""
    deadline = monotonic() + _CALL_SECONDS
    while producer.flush(_LOOK_SECONDS):
        if failures or monotonic() >= deadline:
            return False
    return True


def _bounded(call: Callable[[], object]) -> None:
    """Call what librdkafka may never return from (librdkafka#5456), and leave it behind then. Raises KafkaException."""
    try:
        run_with_timeout(_CALL_SECONDS + 1, call)
    except TimeoutError:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from None  # noqa: SLF001 - librdkafka's name


def _is_aborted(producer: Producer) -> bool:
    try:
        _patiently(producer.abort_transaction)
    except KafkaException:
        return False
    return True


def _patiently(end: Callable[[float], None]) -> None:
    """End a transaction, asking again once where the client says that it may. Raises KafkaException."""
    try:
        end(_CALL_SECONDS)
    except KafkaException as error:
        if not error.args[0].retriable():
            raise
        end(_CALL_SECONDS)
