"""Produces messages to a topic at a given rate, and counts every delivery report."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from confluent_kafka import KafkaError, KafkaException, Producer

from generator.faults import LARGEST_VALUE_BYTES
from generator.stream import Message
from service.errors import KafkaRequestFailed
from service.handler.kafka.client.error_phrases import phrase
from service.handler.kafka.client.properties import verified
from service.handler.kafka.client.translate import topic_error, translated
from service.pkg.polling import poll
from service.pkg.shutdown_event import ShutdownEvent

RESPONSE_TIMEOUT_SECONDS: Final = 10.0
"""Timeout of a metadata request, and of the flush after a stop."""

METADATA_TIMEOUT_SECONDS: Final = 1.8
"""How long to wait for a topic that the broker may be creating."""
METADATA_INTERVAL_SECONDS: Final = 0.3

DEFAULTS: Final[dict[str, str | int | float | bool]] = {
    "message.max.bytes": 2 * LARGEST_VALUE_BYTES,  # the topic's limit applies
    "queue.buffering.max.messages": 20_000,  # about 30 MiB
    "log_level": 2,  # without a line for each refused connection
}


@dataclass
class Tally:
    """Sent messages by kind, and how many of them were acknowledged or failed."""

    sent: Counter[str] = field(default_factory=Counter)
    delivered: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    """Failed messages by the name of the error."""

    def on_delivery(self, error: Any, _: object) -> None:
        if error is None:
            self.delivered += 1
        else:
            self.failed[error.name()] += 1

    @property
    def complete(self) -> bool:
        return self.delivered == self.sent.total()


def open_producer(bootstrap_servers: str, topic: str, properties: Mapping[str, Any], *, compress: bool) -> Producer:
    """Return an idempotent producer for an existing topic. Blocks for up to 10 s. Raises KafkaRequestFailed.

    `properties` override the defaults. With `compress`, values over 1 MiB pass a broker's default limit, which
    applies to the compressed size.
    """
    compression = {"compression.type": "lz4"} if compress else {}
    guarantees = {"bootstrap.servers": bootstrap_servers, "enable.idempotence": True}
    with verified(properties):
        producer = Producer(DEFAULTS | compression | dict(properties) | guarantees)
    _require_topic(producer, topic)
    return producer


def _require_topic(producer: Producer, topic: str) -> None:
    """Retry, because a broker with `auto.create.topics.enable` creates the topic on the first request."""
    problem = poll(
        lambda: _topic_error(producer, topic),
        lambda problem: problem is None,
        seconds=METADATA_TIMEOUT_SECONDS,
        interval=METADATA_INTERVAL_SECONDS,
    )
    if problem is not None:
        raise topic_error("produce to", topic, problem)


def _topic_error(producer: Producer, topic: str) -> KafkaError | None:
    try:
        metadata = producer.list_topics(topic, timeout=RESPONSE_TIMEOUT_SECONDS).topics[topic]
    except KafkaException as error:
        raise KafkaRequestFailed(f"cannot reach Kafka: {phrase(error.args[0])}") from error
    problem: KafkaError | None = metadata.error
    return problem


class RateLimiter:
    """Spaces messages evenly. `rate` is in messages per second; 0 means unlimited."""

    MIN_DELAY_SECONDS: Final = 0.001
    """Shorter delays accumulate until they reach it, because librdkafka's timeouts are in milliseconds."""
    MAX_CATCH_UP_SECONDS: Final = 1.0
    """Length of a pause whose messages are sent afterwards without delay."""

    def __init__(self, rate: float, now: Callable[[], float] = time.monotonic) -> None:
        self._interval = 1 / rate if rate else 0.0
        self._now = now
        self._due = now()

    def delay(self) -> float:
        """Return the seconds until the next message may be sent; 0 if it may be sent now."""
        delay = self._due - self._now()
        return delay if delay > self.MIN_DELAY_SECONDS else 0.0

    def advance(self) -> None:
        """Record that a message was sent."""
        self._due = max(self._due, self._now() - self.MAX_CATCH_UP_SECONDS) + self._interval


class Clock:
    """Unix time in milliseconds that never decreases, even if the wall clock is set back."""

    def __init__(self, wall: Callable[[], float] = time.time, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._epoch = wall() - now()
        self._start_ms = self._now_ms()

    def timestamp_ms(self, message: Message) -> int:
        return self._start_ms + message.timestamp_offset_ms if message.timestamp_offset_ms else self._now_ms()

    def _now_ms(self) -> int:
        return int((self._epoch + self._now()) * 1000)


@translated()
def produce(
    messages: Iterable[Message],
    producer: Producer,
    topic: str,
    *,
    limiter: RateLimiter,
    stop: ShutdownEvent,
    on_progress: Callable[[Tally], None],
) -> Tally:
    """Send until the messages end or `stop` is set, then wait for the delivery reports.

    Blocks for as long as librdkafka retries (`message.timeout.ms`), but for at most 10 s after a stop. `on_progress`
    is called after each message. Raises KafkaRequestFailed on a fatal error of the producer.
    """
    tally, clock = Tally(), Clock()
    for message in messages:
        _wait(producer, limiter, stop)
        if not _enqueue(producer, topic, message, clock.timestamp_ms(message), tally, stop):
            break
        on_progress(tally)
    _flush(producer, stop, lambda: on_progress(tally))
    return tally


def _wait(producer: Producer, limiter: RateLimiter, stop: ShutdownEvent) -> None:
    while (delay := limiter.delay()) and not stop.is_set():
        producer.poll(min(delay, 0.1))
    limiter.advance()


def _enqueue(
    producer: Producer, topic: str, message: Message, timestamp_ms: int, tally: Tally, stop: ShutdownEvent
) -> bool:
    """Add the message to librdkafka's queue, and wait while it is full. Returns False if `stop` was set before."""
    while not stop.is_set():
        try:
            producer.produce(
                topic,
                message.value,
                message.key,
                timestamp=timestamp_ms,
                headers=cast("Any", message.headers) or None,
                on_delivery=tally.on_delivery,
            )
        except BufferError:
            producer.poll(0.1)
        else:
            tally.sent[message.reason or message.kind] += 1
            producer.poll(0)
            return True
    return False


def _flush(producer: Producer, stop: ShutdownEvent, on_progress: Callable[[], None]) -> None:
    while not stop.is_set() and producer.flush(0.1):
        on_progress()
    producer.flush(RESPONSE_TIMEOUT_SECONDS)
