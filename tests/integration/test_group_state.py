"""The state and the members of the consumer group, as commands report them."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from confluent_kafka import Consumer, ConsumerGroupState
from confluent_kafka.admin import AdminClient

from local.broker import Broker
from service.config import KafkaSettings
from service.errors import KafkaRequestFailed
from service.handler.kafka.client import properties
from service.handler.kafka.client.group_state import fetch_group_state
from service.handler.kafka.operations import kafka_checks
from tests.kit.waiting import eventually

TIMEOUT_SECONDS = 10.0
OUTAGE_TIMEOUT_SECONDS = 1.0


@contextmanager
def member(kafka: KafkaSettings) -> Iterator[None]:
    """Join the group; leave it at the end."""
    consumer = Consumer(properties.consumer(kafka))
    consumer.subscribe([kafka.topic])
    eventually(lambda: consumer.poll(0.1) or consumer.assignment(), what="a member has partitions")
    yield
    consumer.close()


def state(kafka: KafkaSettings) -> ConsumerGroupState:
    return fetch_group_state(AdminClient(properties.common(kafka)), kafka.group_id, TIMEOUT_SECONDS)


@pytest.mark.parametrize(("protocol", "count"), [("classic", "1"), ("consumer", "unknown")])
def test_doctor_reports_the_state_and_the_members(kafka: KafkaSettings, protocol: str, count: str) -> None:
    kafka = kafka.model_copy(update={"group_protocol": protocol})
    with member(kafka):
        assert kafka_checks.group(kafka) == f"stable, {count} members, lag 0"
    assert kafka_checks.group(kafka).startswith("empty, ")


def test_a_group_that_does_not_exist_is_dead_and_has_no_members(kafka: KafkaSettings) -> None:
    eventually(lambda: state(kafka) is ConsumerGroupState.DEAD)
    assert kafka_checks.group(kafka) == "dead, 0 members, lag 0"


def test_the_state_is_known_again_after_an_outage_in_which_a_request_timed_out(own_kafka: Broker) -> None:
    """librdkafka 2.16 aborts the process here if the group is described instead."""
    admin = AdminClient({"bootstrap.servers": own_kafka.bootstrap_servers, "log_level": 0})
    read = partial(fetch_group_state, admin, "orders")
    assert read(TIMEOUT_SECONDS) is ConsumerGroupState.DEAD
    own_kafka.kill()
    with pytest.raises(KafkaRequestFailed):
        read(OUTAGE_TIMEOUT_SECONDS)
    own_kafka.start()
    assert read(TIMEOUT_SECONDS) is ConsumerGroupState.DEAD
