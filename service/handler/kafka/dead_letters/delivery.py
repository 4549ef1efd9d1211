"""Sends dead letters with librdkafka's producer: to the dead-letter topic, and back from it."""

import logging
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import Any, Final, Generic, NamedTuple, TypeVar

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from service.entities.dead_letter_headers import Headers
from service.handler.kafka.client import error_codes

ANY_PARTITION: Final = -1
"""The producer chooses the partition by the key."""
_FLUSH_INTERVAL_SECONDS: Final = 0.1
STOP_TIMEOUT_SECONDS: Final = 5.0
"""How long a stop waits for acknowledgements: long enough for requests in flight, but not for an outage."""

_Item = TypeVar("_Item")
DeliveryFailure = tuple[_Item, KafkaError]


class Payload(NamedTuple, Generic[_Item]):
    """A dead letter as a Kafka message."""

    item: _Item
    headers: Headers
    key: bytes | None
    value: bytes | None


def enqueue(
    producer: Producer,
    topic: str,
    payload: Payload[_Item],
    failures: list[DeliveryFailure[_Item]],
    *,
    partition: int = ANY_PARTITION,
) -> None:
    """Send without waiting. A failure is added to `failures`: immediately, or by a later poll or flush."""

    def on_delivery(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failures.append((payload.item, error))

    try:
        producer.produce(
            topic, payload.value, payload.key, partition, headers=[*payload.headers], on_delivery=on_delivery
        )
    except BufferError:
        failures.append((payload.item, KafkaError(error_codes.QUEUE_FULL)))
    except KafkaException as error:
        failures.append((payload.item, error.args[0]))


def flush(producer: Producer, give_up: Callable[[], bool]) -> bool:
    """Block until each message is acknowledged or has failed, or until `give_up`; return whether none is left."""
    while producer.flush(_FLUSH_INTERVAL_SECONDS):
        if give_up():
            return False
    return True


class ReplaceableProducer:
    """Creates a producer for the first `get`, and a new one for the first `get` after `close`. For one thread."""

    def __init__(self, properties: Callable[[], dict[str, Any]]) -> None:
        """`properties` is called for each producer, because passwords and tokens change."""
        self._properties = properties
        self._producer: Producer | None = None
        self._lock = Lock()
        """Held while a producer is created or replaced, so that none misses a new password."""

    def get(self) -> Producer:
        """Raise KafkaRequestFailed if there is no password or token."""
        with self._lock:
            if self._producer is None:
                self._producer = Producer(self._properties(), logger=logging.getLogger("librdkafka"))
            return self._producer

    def set_sasl_credentials(self, username: str, password: str) -> None:
        """Pass these on to the current producer, if there is one. May be called by any thread."""
        with self._lock:
            if self._producer is not None:
                self._producer.set_sasl_credentials(username, password)

    def close(self) -> None:
        """Drop unacknowledged dead letters; does not block."""
        with self._lock:
            producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(KafkaException):  # a producer with a fatal error raises it again
                producer.purge()
                producer.flush(0)
