"""The consumer's parts are created and connected without a server, and nothing runs yet."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from service.app.consumer.wiring import build, health
from service.config import KafkaSettings, Settings
from service.config.settings import DeadLetterSettings
from service.errors import PropertyRejected
from service.handler.kafka.dead_letters.producer import DeadLetterProducer
from service.handler.kafka.dead_letters.transactional import TransactionalDeadLetters
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.ingest import no_middleware

NO_BROKER = "127.0.0.1:1"


@pytest.mark.parametrize(("exactly_once", "producer"), [(False, DeadLetterProducer), (True, TransactionalDeadLetters)])
def test_the_setting_selects_the_producer_and_nothing_is_started(producer: type, *, exactly_once: bool) -> None:
    settings = Settings(
        kafka=KafkaSettings(bootstrap_servers=NO_BROKER), dead_letters=DeadLetterSettings(exactly_once=exactly_once)
    )
    threads = threading.active_count()
    parts = build(settings, ShutdownEvent(), no_middleware)
    assert type(parts.dead_letters) is producer
    assert (threading.active_count(), parts.consumer.has_started) == (threads, False)
    parts.consumer.shutdown.client.close()


def test_a_consumer_that_drains_is_alive_but_not_ready() -> None:
    consumer: Any = SimpleNamespace(has_started=True, seconds_since_poll=0.0, is_draining=False)
    probes = health(consumer, Settings())
    assert all(check() for checks in (probes.ready, probes.live, probes.started) for check in checks.values())
    consumer.is_draining = True
    assert (probes.ready["not draining"](), probes.live["loop polls"]()) == (False, True)


def test_a_property_that_librdkafka_rejects_ends_the_start() -> None:
    settings = Settings(kafka=KafkaSettings(bootstrap_servers=NO_BROKER, properties={"no.such.property": "1"}))
    with pytest.raises(PropertyRejected, match=r"no\.such\.property"):
        build(settings, ShutdownEvent(), no_middleware)


def test_a_property_that_only_the_member_of_the_group_rejects_ends_the_start() -> None:
    rejected = {"max.poll.interval.ms": 1, "session.timeout.ms": 6_000}
    settings = Settings(kafka=KafkaSettings(bootstrap_servers=NO_BROKER, properties=rejected))
    with pytest.raises(PropertyRejected, match=r"max\.poll\.interval\.ms"):
        build(settings, ShutdownEvent(), no_middleware)
