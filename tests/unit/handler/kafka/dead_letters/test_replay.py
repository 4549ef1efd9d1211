"""What a replay sends, reports and commits, on librdkafka's mock cluster."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, cast

import pytest
from confluent_kafka import Consumer, KafkaError, Producer

from local import broker
from service.app.commands.dlq.replay_report import ReplayReport
from service.config import KafkaSettings
from service.entities.dead_letter_headers import Header, Headers
from service.entities.dead_letter_record import DeadLetterId, DeadLetterRecord
from service.entities.subscription import Subscription
from service.errors import KafkaRequestFailed
from service.handler.kafka.client import properties
from service.handler.kafka.client.topic_reader import open_topic
from service.handler.kafka.dead_letters import replay
from service.handler.kafka.dead_letters.replay import (
    KafkaReplaySource,
    ReplayProducer,
    partition_lookup,
    replay_headers,
)
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.ports.dead_letters import DeadLetterFilters
from service.usecases.replay import Replay, ReplayPlan
from tests.kit.dlq import dead_letter, produce

ORDERS = Subscription(("orders",))
ALL = ReplayPlan(ORDERS, DeadLetterFilters())
REJECTED = ReplayPlan(ORDERS, DeadLetterFilters(frozenset({"rejected"})))
NAMED = ReplayPlan(ORDERS, DeadLetterFilters(), named=[DeadLetterId(0, 3), DeadLetterId(0, 1)])


class Setup:
    """A topic with three dead letters: a rejected one, a stub and an invalid one."""

    def __init__(self, kafka: KafkaSettings, consumer: Consumer) -> None:
        self.kafka = kafka
        self.consumer = consumer
        self.lines: list[str] = []
        self.report = ReplayReport(self.lines.append, is_dry_run=False, lists_each=True)
        produce(
            kafka, dead_letter(kafka, 1, reason="rejected"), dead_letter(kafka, 2, changes={Header.STUB: b"true"}),
            dead_letter(kafka, 3),
        )  # fmt: skip
        self.topic = open_topic(consumer, kafka.dead_letter_topic)

    def replay(self, plan: ReplayPlan) -> None:
        producer = Producer(properties.producer(self.kafka))
        self.of(plan).run(ReplayProducer(producer, lambda _: range(4), ShutdownEvent(), replayed_by="test"))

    def of(self, plan: ReplayPlan) -> Replay:
        return Replay(plan, KafkaReplaySource(self.topic, ShutdownEvent()), self.report, ShutdownEvent())

    def sent(self) -> list[bytes]:
        orders = open_topic(self.consumer, self.kafka.topic)
        return sorted(each.key or b"" for each in orders.read(orders.starts, lambda: False))


@pytest.fixture
def setup() -> Iterator[Setup]:
    with broker.mock(["orders", "orders.dlq"]) as server:
        kafka = KafkaSettings(bootstrap_servers=server.bootstrap_servers)
        with closing(Consumer(properties.silent_consumer(kafka))) as consumer:
            yield Setup(kafka, consumer)


def failing(error: KafkaError, key: bytes) -> Callable[..., list[tuple[DeadLetterRecord, KafkaError]]]:
    """Return a delivery that fails for the dead letter with this key."""
    return lambda _, dead_letters: [(each, error) for each in dead_letters if each.key == key]


def test_a_replay_sends_and_reports_dead_letters_and_continues_after_them(setup: Setup) -> None:
    for _ in range(2):
        setup.replay(ALL)
        assert setup.sent() == [b"key-1", b"key-3"]
    assert setup.topic.committed() == {0: 3}
    assert (setup.report.sent, setup.report.refused.total()) == ({"rejected": 1, "invalid": 1}, 1)


def test_dead_letters_that_do_not_match_are_neither_sent_nor_reported(setup: Setup) -> None:
    setup.replay(REJECTED)
    assert (setup.sent(), setup.lines) == ([b"key-1"], ["sent: partition 0, offset 0 (rejected)"])


def test_a_replay_starts_over_if_the_topic_ends_before_the_last_one_ended(setup: Setup) -> None:
    setup.topic.commit({0: 4})
    setup.replay(ALL)
    assert (setup.sent(), setup.topic.committed()) == ([b"key-1", b"key-3"], {0: 3})


def test_named_dead_letters_are_sent_or_reported_and_nothing_is_committed(setup: Setup) -> None:
    setup.replay(NAMED)
    assert (setup.sent(), setup.topic.committed()) == ([], {})
    assert setup.lines == [
        "refused: partition 0, offset 3 has no dead letter",
        "refused: partition 0, offset 1 is a stub: its original was too large for the dead-letter topic",
    ]


def test_the_dead_letters_of_an_order_are_found_by_their_key_or_document(setup: Setup) -> None:
    produce(setup.kafka, dead_letter(setup.kafka, 4)._replace(value=b'{"order_uid": "key-1"}'), partition=1)
    source = KafkaReplaySource(open_topic(setup.consumer, setup.kafka.dead_letter_topic), ShutdownEvent())
    assert {*source.find_order("key-1")} == {(0, 0), (1, 0)}


def test_a_preview_reports_and_sends_nothing(setup: Setup) -> None:
    setup.of(ALL).preview()
    assert (setup.sent(), setup.topic.committed()) == ([], {})
    assert (setup.report.sent, setup.report.refused.total()) == ({"rejected": 1, "invalid": 1}, 1)


def test_a_dead_letter_that_is_too_large_is_refused_and_the_others_are_sent(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ReplayProducer, "_attempt", failing(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), b"key-1"))
    setup.replay(ALL)
    assert setup.report.sent == {"invalid": 1}
    assert "refused: partition 0, offset 0 exceeds max.message.bytes of its topic" in setup.lines


def test_dead_letters_without_an_acknowledgement_are_neither_reported_nor_committed(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ReplayProducer, "_attempt", failing(KafkaError(KafkaError._MSG_TIMED_OUT), b"key-3"))
    with pytest.raises(KafkaRequestFailed, match="cannot produce to orders"):
        setup.replay(ALL)
    assert (setup.report.sent, setup.topic.committed()) == ({}, {})


class SilentProducer:
    """Never delivers anything."""

    def produce(self, *_: Any, **__: Any) -> None:
        pass

    def flush(self, _: float) -> int:
        return 1


@pytest.mark.parametrize(("is_stopped", "delivery_timeout"), [(False, 0.01), (True, 1_000)])
def test_dead_letters_that_are_not_acknowledged_in_time_or_soon_after_a_stop_are_an_error(
    monkeypatch: pytest.MonkeyPatch, *, is_stopped: bool, delivery_timeout: float
) -> None:
    monkeypatch.setattr(replay, "STOP_TIMEOUT_SECONDS", 0.01 if is_stopped else 1_000)
    stop, client = ShutdownEvent(), cast("Producer", SilentProducer())
    if is_stopped:
        stop.set()
    producer = ReplayProducer(client, lambda _: [0], stop, replayed_by="test", delivery_timeout=delivery_timeout)
    with pytest.raises(KafkaRequestFailed, match=r"^cannot produce to orders, other: no acknowledgement in time$"):
        producer.send([from_topic(b"other"), from_topic(b"orders")])


def from_topic(topic: bytes) -> DeadLetterRecord:
    origin: Headers = [
        (Header.TOPIC, topic), (Header.PARTITION, b"0"), (Header.OFFSET, b"5"), (Header.TIMESTAMP, b"1")
    ]  # fmt: skip
    return DeadLetterRecord(0, 7, 1_000, b"key", b"value", origin)


def test_a_dead_letter_that_does_not_say_where_it_belongs_is_not_sent() -> None:
    producer = ReplayProducer(cast("Producer", SilentProducer()), lambda _: [0], ShutdownEvent(), replayed_by="test")
    with pytest.raises(KafkaRequestFailed, match=r"partition 0, offset 7 has no origin headers$"):
        producer.send([DeadLetterRecord(0, 7, 1_000, b"key", b"value", [])])


def test_only_if_a_single_topic_is_read_it_must_exist(setup: Setup) -> None:
    with pytest.raises(KafkaRequestFailed, match=r"^cannot produce to missing: unknown topic"):
        partition_lookup(Subscription(("missing",)), setup.consumer)
    lookup = partition_lookup(Subscription(("missing", "orders")), setup.consumer)
    assert [*lookup("orders")] == [0, 1, 2, 3]
    with pytest.raises(KafkaRequestFailed, match=r"^cannot produce to missing: unknown topic"):
        lookup("missing")


def test_a_replay_keeps_foreign_headers_and_replaces_dlq_headers() -> None:
    headers: Headers = [("a", None), (Header.DETAIL, b"x"), (Header.OFFSET, b"5"), (Header.REPLAYS, b"2")]
    replayed = replay_headers(DeadLetterRecord(0, 7, 1_000, b"key", b"value", headers), "desk")
    assert replayed == [
        ("a", None), (Header.OFFSET, b"5"), (Header.REPLAYS, b"3"), (Header.REPLAYED_BY, b"desk"),
    ]  # fmt: skip
