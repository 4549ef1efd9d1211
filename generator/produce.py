"""Produces messages to a topic at a given rate, and counts every delivery report."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaException, Producer

from generator.faults import LARGEST_VALUE_BYTES
from service.errors import CommandError
from service.handler.kafka.client.error_phrases import phrase
from service.pkg.polling import poll

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from generator.stream import Message
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
    """Return an idempotent producer for an existing topic. Blocks for up to 10 s. Raises CommandError.

    `properties` override the defaults. With `compress`, values over 1 MiB pass a broker's default limit, which
    applies to the compressed size.
    """
    compression = {"compression.type": "lz4"} if compress else {}
    guarantees = {"bootstrap.servers": bootstrap_servers, "enable.idempotence": True}
    producer = Producer(DEFAULTS | compression | dict(properties) | guarantees)
    _require(producer, topic)
    return producer


def _require(producer: Producer, topic: str) -> None:
    """Retry, because a broker with `auto.create.topics.enable` creates the topic on the first request."""
    problem = poll(
        lambda: _problem(producer, topic),
        lambda problem: problem is None,
        seconds=METADATA_TIMEOUT_SECONDS,
        interval=METADATA_INTERVAL_SECONDS,
    )
    if problem is not None:
        raise CommandError(f"cannot write to topic {topic}: {problem}; `orders migrate` creates topics")


def _problem(producer: Producer, topic: str) -> str | None:
    try:
        known = producer.list_topics(topic, timeout=RESPONSE_TIMEOUT_SECONDS).topics[topic]
    except KafkaException as error:
        raise CommandError(f"no broker answers: {phrase(error.args[0])}") from error
    return None if known.error is None else phrase(known.error)


class Pace:
    """Spreads messages evenly. `rate` is per second, 0 is as fast as can be."""

    MIN_SLEEP_SECONDS: Final = 0.001
    """Waits below a millisecond are left to add up: librdkafka counts in milliseconds."""
    MAX_CATCH_UP_SECONDS: Final = 1.0
    """How much of a standstill is made up for."""

    def __init__(self, rate: float, now: Callable[[], float] = time.monotonic) -> None:
        self._interval = 1 / rate if rate else 0.0
        self._now = now
        self._due = now()

    def early(self) -> float:
        """Return by how many seconds the next message is too early; at most 0 when it may go."""
        early = self._due - self._now()
        return early if early > self.MIN_SLEEP_SECONDS else 0.0

    def step(self) -> None:
        self._due = max(self._due, self._now() - self.MAX_CATCH_UP_SECONDS) + self._interval


class Clock:
    """Wall-clock milliseconds that never run backwards, even if the wall clock is set back."""

    def __init__(self, wall: Callable[[], float] = time.time, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._epoch = wall() - now()
        self._start_ms = self._now_ms()

    def stamp(self, message: Message) -> int:
        return self._start_ms + message.timestamp_offset_ms if message.timestamp_offset_ms else self._now_ms()

    def _now_ms(self) -> int:
        return int((self._epoch + self._now()) * 1000)


def produce(
    messages: Iterable[Message],
    producer: Producer,
    topic: str,
    *,
    pace: Pace,
    stop: ShutdownEvent,
    watch: Callable[[Tally], None],
) -> Tally:
    """Send until the messages end or `stop` is set, then wait for the delivery reports.

    Blocks for as long as librdkafka retries (`message.timeout.ms`), but for at most 10 s after a stop. `watch` sees
    the tally after each message. Raises KafkaException when librdkafka refuses to go on.
    """
    tally, clock = Tally(), Clock()
    for message in messages:
        _wait(producer, pace, stop)
        if not _enqueue(producer, topic, message, clock.stamp(message), tally, stop):
            break
        watch(tally)
    _drain(producer, stop, lambda: watch(tally))
    return tally


def _wait(producer: Producer, pace: Pace, stop: ShutdownEvent) -> None:
    while (early := pace.early()) and not stop.is_set():
        producer.poll(min(early, 0.1))
    pace.step()


def _enqueue(producer: Producer, topic: str, message: Message, stamp: int, tally: Tally, stop: ShutdownEvent) -> bool:
    """Hand over to librdkafka, waiting for room in its queue; False when asked to stop before there was any."""
    while not stop.is_set():
        try:
            producer.produce(topic, message.value, message.key, timestamp=stamp, on_delivery=tally.on_delivery)
        except BufferError:
            producer.poll(0.1)
        else:
            tally.sent[message.reason or message.kind] += 1
            producer.poll(0)
            return True
    return False


def _drain(producer: Producer, stop: ShutdownEvent, watch: Callable[[], None]) -> None:
    while not stop.is_set() and producer.flush(0.1):
        watch()
    producer.flush(RESPONSE_TIMEOUT_SECONDS)
