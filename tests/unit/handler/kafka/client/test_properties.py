"""What librdkafka is told."""

from collections.abc import Iterator
from functools import partial

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from pydantic import ValidationError

from service.config import KafkaSettings
from service.handler.kafka.client import properties

PASSED_THROUGH = {"session.timeout.ms": 9_000, "fetch.wait.max.ms": 7, "security.protocol": "ssl"}


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_librdkafka_accepts_the_properties_of_each_client(protocol: str) -> None:
    kafka = KafkaSettings.model_validate({"group_protocol": protocol, "properties": PASSED_THROUGH})
    Consumer(properties.consumer(kafka)).close()
    Producer(properties.producer(kafka))
    Producer(properties.transactional(kafka, "orders-1"))
    AdminClient(properties.common(kafka))


def test_what_is_passed_through_wins_over_our_tuning() -> None:
    told = properties.consumer(KafkaSettings(properties=PASSED_THROUGH))
    assert {name: told[name] for name in PASSED_THROUGH} == PASSED_THROUGH


def test_what_a_guarantee_rests_on_wins_over_everything() -> None:
    # Settings refuse these names; here they are let past that, to see the second lock hold.
    kafka = KafkaSettings().model_copy(
        update={"properties": {"enable.auto.commit": True, "acks": 0, "enable.idempotence": False}}
    )
    assert properties.consumer(kafka)["enable.auto.commit"] is False
    assert properties.consumer(kafka)["enable.auto.offset.store"] is False
    assert properties.producer(kafka)["acks"] == "all"
    assert properties.producer(kafka)["enable.idempotence"] is True


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_what_is_set_over_the_properties_is_refused_as_one(protocol: str) -> None:
    """Nothing that is passed through is changed in silence, but for what keeps a transaction short."""
    kafka = KafkaSettings.model_validate({"group_protocol": protocol})
    in_transactions = {"socket.timeout.ms", "topic.metadata.propagation.max.ms", "batch.num.messages"}
    for name in {*overridden(kafka)} - in_transactions:
        with pytest.raises(ValidationError, match=f"{name} cannot be set here: "):
            KafkaSettings(properties={name: "mine"})


def overridden(kafka: KafkaSettings) -> Iterator[str]:
    """Yield the properties of our clients that are what they are whatever is passed through."""
    for told in (properties.consumer, properties.producer, partial(properties.transactional, transactional_id="id")):
        mine = kafka.model_copy(update={"properties": dict.fromkeys(told(kafka), "mine")})
        yield from (name for name, value in told(mine).items() if value != "mine")


def test_a_dead_member_is_noticed_after_the_session_timeout() -> None:
    told = properties.consumer(KafkaSettings(session_timeout=12))
    assert (told["session.timeout.ms"], told["heartbeat.interval.ms"]) == (12_000, 4_000)


@pytest.mark.parametrize(
    "told", [properties.consumer(KafkaSettings(prefetch=2**20)), properties.dead_letter_browser(KafkaSettings())]
)
def test_prefetch_is_bounded_in_kilobytes_and_a_full_queue_is_filled_again_soon(told: properties.Properties) -> None:
    assert told["queued.max.messages.kbytes"] == 1_024
    assert told["fetch.queue.backoff.ms"] <= 50
