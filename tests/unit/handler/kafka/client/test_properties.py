"""The configuration of librdkafka's clients."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from socket import gethostname

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from pydantic import ValidationError

from service.config import KafkaSettings
from service.errors import PropertyRejected
from service.handler.kafka.client import properties

PASSED_THROUGH = {"session.timeout.ms": 9_000, "fetch.wait.max.ms": 7, "security.protocol": "ssl"}


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_librdkafka_accepts_the_properties_of_each_client(protocol: str) -> None:
    kafka = KafkaSettings.model_validate({"group_protocol": protocol, "properties": PASSED_THROUGH})
    for consumer in (properties.consumer(kafka), properties.dead_letter_reader(kafka), properties.order_peeker(kafka)):
        Consumer(consumer).close()
    Producer(properties.producer(kafka))
    Producer(properties.transactional(kafka, "orders-1"))
    AdminClient(properties.common(kafka))


def test_a_property_that_librdkafka_rejects_is_named_without_its_value() -> None:
    with pytest.raises(PropertyRejected) as raised, properties.verified({"no.such.property": "hunter2"}):
        Producer({"no.such.property": "hunter2"})
    assert raised.value.problem == "librdkafka has no property no.such.property"
    assert str(raised.value) == "ORDERS_KAFKA__PROPERTIES: librdkafka has no property no.such.property"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('No such configuration property: "no.such"', "librdkafka has no property no.such"),
        ('Invalid value "hunter2" for configuration property "acks"', "librdkafka rejects the value of acks"),
        ("`sasl.username` and `sasl.password` must be set", "librdkafka rejects the value of sasl.password"),
        ("Unsupported hunter2.secret: set linger.ms", "librdkafka rejects the value of linger.ms"),
        ("hunter2", "librdkafka rejects the value of a property"),
    ],
)
def test_a_rejected_property_is_found_in_each_message_of_librdkafka(text: str, problem: str) -> None:
    with (
        pytest.raises(PropertyRejected) as raised,
        properties.verified({"a": "hunter2.secret", "sasl.password": "hunter2"}),
    ):
        raise KafkaException(KafkaError(KafkaError._INVALID_ARG, text))
    assert raised.value.problem == problem


def test_a_password_in_a_file_is_set_as_far_as_librdkafka_is_concerned(tmp_path: Path) -> None:
    login = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "shop"}
    properties.verify(KafkaSettings(properties=login, password_file=tmp_path / "password"))
    with pytest.raises(PropertyRejected, match=r"sasl\.password|sasl\.username"):
        properties.verify(KafkaSettings(properties=login))


def test_properties_of_the_user_override_the_defaults() -> None:
    configuration = properties.consumer(KafkaSettings(properties=PASSED_THROUGH))
    assert {name: configuration[name] for name in PASSED_THROUGH} == PASSED_THROUGH


@pytest.mark.parametrize(
    "configuration",
    [properties.silent_admin, properties.silent_consumer, properties.dead_letter_reader, properties.order_peeker],
)
def test_a_silent_client_logs_only_at_the_level_that_the_user_sets(
    configuration: Callable[[KafkaSettings], properties.Properties],
) -> None:
    assert configuration(KafkaSettings())["log_level"] == 0
    assert configuration(KafkaSettings(properties={"log_level": 6}))["log_level"] == 6


def test_every_reader_starts_at_the_earliest_message_and_reads_only_committed_ones() -> None:
    kafka = KafkaSettings()
    for reader in (properties.consumer(kafka), properties.dead_letter_reader(kafka), properties.order_peeker(kafka)):
        assert reader["auto.offset.reset"] == "earliest"
        assert reader.get("isolation.level", "read_committed") == "read_committed"  # the default of librdkafka


def test_a_reader_of_dead_letters_commits_nothing_and_reports_the_ends_of_partitions() -> None:
    reader = properties.dead_letter_reader(KafkaSettings())
    assert (reader["enable.auto.commit"], reader["enable.partition.eof"]) == (False, True)


def test_a_client_of_a_command_collects_no_statistics() -> None:
    assert properties.silent_consumer(KafkaSettings())["statistics.interval.ms"] == 0


def test_the_prefetched_bytes_are_set_in_whole_kibibytes() -> None:
    sizes = [properties.consumer(KafkaSettings().model_copy(update={"prefetch": size})) for size in (1, 2_500, 2**20)]
    assert [each["queued.max.messages.kbytes"] for each in sizes] == [1, 2, 1_024]


def test_a_client_soon_notices_what_has_changed() -> None:
    limits_ms = {
        "reconnect.backoff.max.ms": 1_000, "socket.timeout.ms": 10_000,
        "topic.metadata.refresh.interval.ms": 10_000, "fetch.wait.max.ms": 100,
    }  # fmt: skip
    consumer = properties.consumer(KafkaSettings())
    assert [name for name, limit in limits_ms.items() if consumer[name] > limit] == []
    assert consumer["enable.partition.eof"] is True


@pytest.mark.parametrize("seconds", [6, 7])
def test_a_member_of_each_protocol_says_so(seconds: int) -> None:
    classic = properties.consumer(KafkaSettings(session_timeout=seconds))
    assert isinstance(classic["heartbeat.interval.ms"], int)
    assert "group.protocol" not in classic
    assert properties.consumer(KafkaSettings(group_protocol="consumer"))["group.protocol"] == "consumer"


def test_other_clients_than_consumers_have_the_name_of_the_product() -> None:
    assert properties.producer(KafkaSettings())["client.id"] == "orders"


def test_consumers_name_their_host_unless_the_user_names_them() -> None:
    assert properties.consumer(KafkaSettings())["client.id"] == f"orders-{gethostname()}"
    assert properties.consumer(KafkaSettings(properties={"client.id": "own"}))["client.id"] == "own"


def test_properties_that_the_guarantee_requires_override_those_of_the_user() -> None:
    # Settings reject these names; model_copy does not validate.
    kafka = KafkaSettings().model_copy(
        update={"properties": {"enable.auto.commit": True, "acks": 0, "enable.idempotence": False}}
    )
    assert properties.consumer(kafka)["enable.auto.commit"] is False
    assert properties.consumer(kafka)["enable.auto.offset.store"] is False
    assert properties.producer(kafka)["acks"] == "all"
    assert properties.producer(kafka)["enable.idempotence"] is True


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_property_that_would_be_overridden_is_rejected(protocol: str) -> None:
    """No property of the user is overridden silently, except those that keep a transaction short."""
    kafka = KafkaSettings.model_validate({"group_protocol": protocol})
    in_transactions = {"socket.timeout.ms", "topic.metadata.propagation.max.ms", "batch.num.messages"}
    for name in {*overridden(kafka)} - in_transactions:
        with pytest.raises(ValidationError, match=f"{name} cannot be set here: "):
            KafkaSettings(properties={name: "mine"})


def overridden(kafka: KafkaSettings) -> Iterator[str]:
    """Yield the properties that override those of the user."""
    for configuration in (
        properties.consumer,
        properties.producer,
        partial(properties.transactional, transactional_id="id"),
    ):
        mine = kafka.model_copy(update={"properties": dict.fromkeys(configuration(kafka), "mine")})
        yield from (name for name, value in configuration(mine).items() if value != "mine")


def test_the_heartbeat_interval_is_a_third_of_the_session_timeout_and_at_most_3_seconds() -> None:
    sessions = [properties.consumer(KafkaSettings(session_timeout=seconds)) for seconds in (6, 60)]
    assert [(each["session.timeout.ms"], each["heartbeat.interval.ms"]) for each in sessions] == [
        (6_000, 2_000),
        (60_000, 3_000),
    ]


@pytest.mark.parametrize(
    "configuration",
    [properties.consumer(KafkaSettings(prefetch=2**20)), properties.dead_letter_reader(KafkaSettings())],
)
def test_prefetching_is_limited_and_resumes_soon_after_a_full_queue(configuration: properties.Properties) -> None:
    assert configuration["queued.max.messages.kbytes"] == 1_024
    assert configuration["fetch.queue.backoff.ms"] <= 50


def test_only_a_member_that_subscribes_to_a_pattern_is_blind_to_the_topics_that_it_excludes() -> None:
    kafka = KafkaSettings(topics="^orders")
    assert properties.member(kafka)["topic.blacklist"] == r"^orders\.dlq$,^__"
    assert "topic.blacklist" not in properties.silent_consumer(kafka)  # commands read the dead-letter topic
    for one in (KafkaSettings(), KafkaSettings(topics="a,b")):
        assert properties.member(one) == properties.consumer(one)


def test_brokers_match_a_pattern_with_whole_names_and_the_client_with_their_start() -> None:
    assert properties.subscribed_pattern(KafkaSettings(topics="a,b")) == ""
    assert properties.subscribed_pattern(KafkaSettings(topics="^a|b")) == "^(a|b)"
    assert properties.subscribed_pattern(KafkaSettings(topics="^a|b", group_protocol="consumer")) == "^(a|b).*"
