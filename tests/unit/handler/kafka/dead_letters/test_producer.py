"""Dead letters that Kafka does not acknowledge are not lost, and those that are too large block no others."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer

from local.broker import mock
from service.config import KafkaSettings
from service.entities.dead_letter import DeadLetter, Reason
from service.entities.record import Record
from service.errors import DeadLettersUnavailable, Stopped
from service.handler.kafka.client import properties
from service.handler.kafka.client.topic_reader import open_topic
from service.handler.kafka.dead_letters import delivery
from service.handler.kafka.dead_letters import producer as dead_letters
from service.handler.kafka.dead_letters.encoder import DeadLetterEncoder
from service.handler.kafka.dead_letters.producer import DeadLetterProducer
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.batch import Batch

LETTER = DeadLetter(Record("orders", 0, 7, 1_000, b"key", b"faulty", []), Reason.INVALID, "sm_id: is missing")
NO_BROKER = "127.0.0.1:1"


def test_a_producer_whose_messages_time_out_is_replaced_and_its_dead_letters_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dead_letters, "_DELIVERY_TIMEOUT_MS", 200)
    with mock(["orders.dlq"]) as broker:
        servers = iter([NO_BROKER, broker.bootstrap_servers])

        def produced(properties: dict[str, Any], **_: Any) -> Producer:
            return Producer({**properties, "bootstrap.servers": next(servers), "log_level": 0})

        monkeypatch.setattr(delivery, "Producer", produced)
        producer = DeadLetterProducer(dict, "orders.dlq", DeadLetterEncoder("orders"), ShutdownEvent())
        with pytest.raises(DeadLettersUnavailable) as refusal:
            producer.send_and_commit(Batch(), [LETTER])
        assert refusal.value.unsent == [LETTER]
        assert "min.insync.replicas" in (refusal.value.hint or "")
        producer.send_and_commit(Batch(), refusal.value.unsent)
    assert next(servers, None) is None


class SlowProducer:
    """Accepts each message, and leaves as many unacknowledged as `unacknowledged` says, flush by flush."""

    def __init__(self, *unacknowledged: int) -> None:
        self._unacknowledged = [*unacknowledged]

    def produce(self, *_: Any, **__: Any) -> None:
        pass

    def flush(self, seconds: float) -> int:
        assert seconds > 0
        return self._unacknowledged.pop(0)


@pytest.mark.parametrize(
    ("unacknowledged", "is_stopped", "is_sent"),
    [((1, 1, 0), False, True), ((1, 0, 0), True, True), ((1, 1), True, False)],
)
def test_acknowledgements_are_awaited_and_only_for_some_seconds_after_a_stop(
    monkeypatch: pytest.MonkeyPatch, unacknowledged: tuple[int, ...], *, is_stopped: bool, is_sent: bool
) -> None:
    monkeypatch.setattr(delivery, "Producer", lambda *_, **__: SlowProducer(*unacknowledged))
    stop = ShutdownEvent()
    producer = DeadLetterProducer(dict, "orders.dlq", DeadLetterEncoder("orders"), stop)
    if is_stopped:
        stop.set()
    if is_sent:
        assert not producer.send_and_commit(Batch(), [LETTER])
    else:
        with pytest.raises(Stopped):
            producer.send_and_commit(Batch(), [LETTER])


MAX_BYTES = 1_000
LARGE = b"x" * MAX_BYTES


@pytest.fixture
def kafka() -> Iterator[KafkaSettings]:
    with mock(["orders.dlq"]) as server:
        yield KafkaSettings(bootstrap_servers=server.bootstrap_servers)


def limited(kafka: KafkaSettings) -> DeadLetterProducer:
    """Return a producer that sends messages of at most MAX_BYTES."""
    limits = properties.producer(kafka) | {"message.max.bytes": MAX_BYTES}
    return DeadLetterProducer(lambda: limits, "orders.dlq", DeadLetterEncoder("orders"), ShutdownEvent())


def sent(kafka: KafkaSettings) -> list[tuple[bytes | None, bool]]:
    """Return the key of each dead letter, and whether it is whole."""
    with closing(Consumer(properties.silent_consumer(kafka))) as consumer:
        topic = open_topic(consumer, "orders.dlq")
        records = [*topic.read(topic.starts, lambda: False)]
    return sorted(((each.key, each.value == b"faulty") for each in records), key=str)


def test_a_dead_letter_that_is_too_large_is_sent_as_a_stub_without_what_is_too_large(kafka: KafkaSettings) -> None:
    large = [
        LETTER,
        LETTER._replace(record=LETTER.record._replace(key=b"value", value=LARGE)),
        LETTER._replace(record=LETTER.record._replace(key=LARGE)),
        LETTER._replace(record=LETTER.record._replace(key=b"headers", headers=[("trace", LARGE)])),
    ]
    limited(kafka).send_and_commit(Batch(), large)
    assert sent(kafka) == [(None, False), (None, False), (b"key", True), (b"value", False)]


def test_a_dead_letter_that_is_too_large_even_as_a_stub_is_kept_and_the_others_are_sent(kafka: KafkaSettings) -> None:
    large = LETTER._replace(detail="x" * MAX_BYTES)
    with pytest.raises(
        DeadLettersUnavailable, match=r"^cannot produce to orders\.dlq: message size too large"
    ) as raised:
        limited(kafka).send_and_commit(Batch(), [large, LETTER, large])
    assert raised.value.unsent == [large, large]
    assert sent(kafka) == [(b"key", True)]
