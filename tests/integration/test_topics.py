"""`orders migrate` creates topics in a real Kafka."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from confluent_kafka import KafkaError, Producer
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]
from confluent_kafka.cimpl import NewTopic

from service.config import KafkaSettings
from service.errors import CommandFailed
from service.handler.kafka.client import properties, topics
from service.handler.kafka.client.diagnostics import DiagnosticAdminClient
from service.handler.kafka.operations.topic_creation import create_missing, wait_for_broker
from service.pkg.polling import Poller
from tests.kit import servers
from tests.kit.processes import Spawn
from tests.kit.waiting import eventually

TIMEOUT_SECONDS = 10.0


@pytest.fixture
def kafka(kafka_server: servers.Kafka) -> Iterator[KafkaSettings]:
    """Settings with topics that do not exist yet."""
    name = f"orders-{uuid4().hex[:12]}"
    yield KafkaSettings(bootstrap_servers=kafka_server.bootstrap_servers, topic=name, dead_letter_topic=f"{name}.dlq")
    admin = AdminClient({"bootstrap.servers": kafka_server.bootstrap_servers})
    existing = [topic for topic in admin.list_topics(timeout=TIMEOUT_SECONDS).topics if topic.startswith(name)]
    for request in (admin.delete_topics(existing) if existing else {}).values():
        request.result(TIMEOUT_SECONDS)


def create_topics(kafka: KafkaSettings, deadline: float = 30) -> list[str]:
    lines: list[str] = []
    create_missing(kafka, DiagnosticAdminClient(kafka), Poller(deadline, lines.append), lines.append)
    broker, *results = lines
    assert broker.startswith("broker ")
    return results


def partitions(kafka: KafkaSettings) -> list[int]:
    counts = topics.partition_counts(DiagnosticAdminClient(kafka))
    return [counts.get(kafka.topic, 0), counts.get(kafka.dead_letter_topic, 0)]


def configured(kafka: KafkaSettings, name: str, *options: str) -> list[str]:
    admin = AdminClient(properties.common(kafka))
    (request,) = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name)]).values()
    return [request.result(TIMEOUT_SECONDS)[option].value for option in options]


def create_topic(kafka: KafkaSettings, name: str, count: int, **options: str) -> None:
    config = {option.replace("_", "."): value for option, value in options.items()}
    topic = NewTopic(name, count, 1, config=config)
    admin = AdminClient(properties.common(kafka))
    admin.create_topics([topic])[name].result(TIMEOUT_SECONDS)
    eventually(
        lambda: name in admin.list_topics(timeout=TIMEOUT_SECONDS).topics, TIMEOUT_SECONDS, "the topic is created"
    )


def test_missing_topics_are_created_with_the_settings(kafka: KafkaSettings) -> None:
    kafka = kafka.model_copy(update={"partitions": 4, "retention": 3_600.0, "dead_letter_retention": 7_200.0})
    lines = create_topics(kafka)
    assert partitions(kafka) == [4, 4]
    assert configured(kafka, kafka.topic, "retention.ms") == ["3600000"]
    expected = ["7200000", str(10 * 2**20), "delete"]
    assert configured(kafka, kafka.dead_letter_topic, "retention.ms", topics.SIZE_LIMIT, "cleanup.policy") == expected
    created = [line for line in lines if not line.startswith("waiting")]  # the broker may be slow to list a new topic
    assert created == [f"topic {name}: created, 4 partitions" for name in (kafka.topic, kafka.dead_letter_topic)]


def test_all_topics_of_a_list_are_created_and_none_of_a_pattern(kafka: KafkaSettings) -> None:
    listed = kafka.model_copy(update={"topics": f"{kafka.topic},{kafka.topic}.eu"})
    names = (*listed.subscription.names, kafka.dead_letter_topic)
    created = [line for line in create_topics(listed) if not line.startswith("waiting")]
    assert created == [f"topic {name}: created, 6 partitions" for name in names]
    pattern = kafka.model_copy(update={"topics": f"^{kafka.topic}"})
    assert create_topics(pattern) == [f"topic {name}: exists, 6 partitions" for name in names]
    pattern = pattern.model_copy(update={"topics": "^none", "dead_letter_topic": f"{kafka.topic}.us"})
    created = [line for line in create_topics(pattern) if not line.startswith("waiting")]
    assert created == [f"topic {kafka.topic}.us: created, 6 partitions"]


def test_existing_topics_are_not_changed(kafka: KafkaSettings) -> None:
    create_topic(kafka, kafka.topic, 2)
    create_topic(kafka, kafka.dead_letter_topic, 1, retention_ms="5")
    assert [line.split(": ")[1] for line in create_topics(kafka)] == ["exists, 2 partitions", "exists, 1 partitions"]
    assert partitions(kafka) == [2, 1]
    assert configured(kafka, kafka.dead_letter_topic, "retention.ms") == ["5"]


def test_the_dead_letter_topic_gets_as_many_partitions_as_the_existing_topic(kafka: KafkaSettings) -> None:
    create_topic(kafka, kafka.topic, 5)
    create_topics(kafka)
    assert partitions(kafka) == [5, 5]


def test_a_dead_letter_topic_with_a_smaller_message_limit_causes_a_warning(kafka: KafkaSettings) -> None:
    create_topic(kafka, kafka.topic, 1, max_message_bytes="2000000")
    create_topic(kafka, kafka.dead_letter_topic, 1, max_message_bytes="1000000")
    name = kafka.dead_letter_topic
    assert create_topics(kafka)[-1] == (
        f"warning: max.message.bytes of {name} is 1000000, less than the 2000000 of {kafka.topic}"
    )


def test_a_message_for_a_missing_topic_does_not_create_it(kafka: KafkaSettings) -> None:
    failed: list[KafkaError | None] = []
    producer = Producer(properties.producer(kafka) | {"topic.metadata.propagation.max.ms": 500})
    producer.produce(kafka.topic, b"x", on_delivery=lambda error, _: failed.append(error))
    assert producer.flush(TIMEOUT_SECONDS) == 0
    assert [error and error.code() for error in failed] == [KafkaError.UNKNOWN_TOPIC_OR_PART]
    assert partitions(kafka) == [0, 0]


def test_a_topic_created_concurrently_is_accepted(kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    create_topic(kafka, kafka.topic, 2)
    original, calls = topics.partition_counts, iter(range(9))
    monkeypatch.setattr(topics, "partition_counts", lambda admin: original(admin) if next(calls) else {})
    assert create_topics(kafka)[0] == f"topic {kafka.topic}: exists, 2 partitions"


def test_concurrent_migrations_succeed(kafka: KafkaSettings, postgres_server: servers.Postgres, spawn: Spawn) -> None:
    environment = {
        "ORDERS_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "ORDERS_KAFKA__TOPIC": kafka.topic,
        "ORDERS_KAFKA__DEAD_LETTER_TOPIC": kafka.dead_letter_topic,
        "ORDERS_POSTGRES__DSN": postgres_server.dsn,
    }
    both = [spawn("migrate", settings=environment) for _ in range(2)]
    assert [each.process.wait(60) for each in both] == [0, 0], [each.tail() for each in both]
    assert partitions(kafka) == [6, 6]


def test_topics_are_not_created_if_create_topics_is_false(kafka: KafkaSettings, database: str, spawn: Spawn) -> None:
    environment = {
        "ORDERS_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "ORDERS_KAFKA__TOPIC": kafka.topic,
        "ORDERS_KAFKA__CREATE_TOPICS": "false",
        "ORDERS_POSTGRES__DSN": database,
    }
    assert spawn("migrate", settings=environment).process.wait(60) == 0
    assert partitions(kafka)[0] == 0


def test_a_permanent_error_of_kafka_fails_at_once(kafka: KafkaSettings) -> None:
    impossible = kafka.model_copy(update={"dead_letter_max_bytes": -5})
    with pytest.raises(CommandFailed, match=r"Kafka rejected the request: .*\(INVALID_CONFIG\)"):
        create_topics(impossible)


def test_too_few_brokers_are_retried_until_the_deadline(kafka: KafkaSettings) -> None:
    with pytest.raises(CommandFailed, match=r"waiting for Kafka: .*\(INVALID_REPLICATION_FACTOR\)"):
        create_topics(kafka.model_copy(update={"replication_factor": 5}), deadline=1.5)


def test_an_unreachable_broker_is_retried_until_the_deadline() -> None:
    unreachable = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    with pytest.raises(CommandFailed, match="timed out after 1 s waiting for Kafka"):
        wait_for_broker(DiagnosticAdminClient(unreachable), Poller(1, print))


@pytest.mark.parametrize(
    ("config", "seconds"),
    [
        ({"retention_ms": "5000"}, 5 + 60),
        ({"retention_ms": "5000", "cleanup_policy": "compact,delete"}, 5 + 60),
        ({"retention_ms": "5000", "cleanup_policy": "compact"}, topics.FOREVER),
        ({"retention_ms": "-1"}, topics.FOREVER),
    ],
)
def test_the_maximum_age_of_a_record_is_retention_plus_segment_time(
    kafka: KafkaSettings, config: dict[str, str], seconds: float
) -> None:
    create_topic(kafka, kafka.topic, 1, segment_ms="60000", **config)
    assert topics.max_record_ages([kafka.topic], DiagnosticAdminClient(kafka)) == {kafka.topic: seconds}
