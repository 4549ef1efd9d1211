"""`orders migrate` and the topics, on a real Kafka."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from confluent_kafka import KafkaError, Producer
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]
from confluent_kafka.cimpl import NewTopic

from service.config import Kafka
from service.errors import DeadlineExceeded, MigrationError
from service.handler.kafka.client import properties, topics
from service.handler.kafka.client.connection_errors import DiagnosticAdminClient
from service.pkg.polling import Poller
from tests import servers
from tests.processes import Spawn
from tests.waiting import eventually

FAR = 10.0


@pytest.fixture
def kafka(kafka_server: servers.Kafka) -> Iterator[Kafka]:
    """Settings that name topics which aren't there yet."""
    name = f"orders-{uuid4().hex[:12]}"
    yield Kafka(bootstrap_servers=kafka_server.bootstrap_servers, topic=name, dead_letter_topic=f"{name}.dlq")
    admin = AdminClient({"bootstrap.servers": kafka_server.bootstrap_servers})
    there = admin.list_topics(timeout=FAR).topics.keys() & {name, f"{name}.dlq"}
    for request in (admin.delete_topics(list(there)) if there else {}).values():
        request.result(FAR)


def provide(kafka: Kafka, deadline: float = 30) -> list[str]:
    said: list[str] = []
    topics.create_missing(
        kafka, DiagnosticAdminClient(properties.common(kafka)), Poller(deadline, said.append), said.append
    )
    broker, *topics_of_ours = said
    assert broker.startswith("broker ")
    return topics_of_ours


def partitions(kafka: Kafka) -> list[int]:
    there = topics.partition_counts(DiagnosticAdminClient(properties.common(kafka)))
    return [there.get(kafka.topic, 0), there.get(kafka.dead_letter_topic, 0)]


def configured(kafka: Kafka, name: str, *options: str) -> list[str]:
    admin = AdminClient(properties.common(kafka))
    (request,) = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name)]).values()
    return [request.result(FAR)[option].value for option in options]


def make(kafka: Kafka, name: str, count: int, **options: str) -> None:
    config = {option.replace("_", "."): value for option, value in options.items()}
    topic = NewTopic(name, count, 1, config=config)
    admin = AdminClient(properties.common(kafka))
    admin.create_topics([topic])[name].result(FAR)
    eventually(lambda: name in admin.list_topics(timeout=FAR).topics, FAR, "the topic")


def test_missing_topics_are_made_as_the_settings_say(kafka: Kafka) -> None:
    kafka = kafka.model_copy(update={"partitions": 4, "retention": 3_600.0, "dead_letter_retention": 7_200.0})
    said = provide(kafka)
    assert partitions(kafka) == [4, 4]
    assert configured(kafka, kafka.topic, "retention.ms") == ["3600000"]
    wanted = ["7200000", str(10 * 2**20), "delete"]
    assert configured(kafka, kafka.dead_letter_topic, "retention.ms", topics.SIZE_LIMIT, "cleanup.policy") == wanted
    made = [line for line in said if not line.startswith("waiting")]  # for a broker that is slow to show what it made
    assert made == [f"topic {name}: created, 4 partitions" for name in (kafka.topic, kafka.dead_letter_topic)]


def test_topics_that_are_there_are_left_alone(kafka: Kafka) -> None:
    make(kafka, kafka.topic, 2)
    make(kafka, kafka.dead_letter_topic, 1, retention_ms="5")
    assert [line.split(": ")[1] for line in provide(kafka)] == ["exists, 2 partitions", "exists, 1 partitions"]
    assert partitions(kafka) == [2, 1]
    assert configured(kafka, kafka.dead_letter_topic, "retention.ms") == ["5"]


def test_a_dead_letter_topic_has_as_many_partitions_as_the_topic_that_is_there(kafka: Kafka) -> None:
    make(kafka, kafka.topic, 5)
    provide(kafka)
    assert partitions(kafka) == [5, 5]


def test_a_dead_letter_topic_that_takes_less_than_the_order_topic_is_warned_of(kafka: Kafka) -> None:
    make(kafka, kafka.topic, 1, max_message_bytes="2000000")
    make(kafka, kafka.dead_letter_topic, 1, max_message_bytes="1000000")
    name = kafka.dead_letter_topic
    assert provide(kafka)[-1] == (
        f"warning: max.message.bytes of {name} is 1000000, less than the 2000000 of {kafka.topic}"
    )


def test_a_message_for_a_missing_topic_does_not_create_it(kafka: Kafka) -> None:
    failed: list[KafkaError | None] = []
    producer = Producer(properties.producer(kafka) | {"topic.metadata.propagation.max.ms": 500})
    producer.produce(kafka.topic, b"x", on_delivery=lambda error, _: failed.append(error))
    assert producer.flush(FAR) == 0
    assert [error and error.code() for error in failed] == [KafkaError.UNKNOWN_TOPIC_OR_PART]
    assert partitions(kafka) == [0, 0]


def test_who_finds_a_topic_just_made_by_another_is_content(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    make(kafka, kafka.topic, 2)
    really, looks = topics.partition_counts, iter(range(9))
    monkeypatch.setattr(topics, "partition_counts", lambda admin: really(admin) if next(looks) else {})
    assert provide(kafka)[0] == f"topic {kafka.topic}: exists, 2 partitions"


def test_two_at_once_end_well(kafka: Kafka, postgres_server: servers.Postgres, spawn: Spawn) -> None:
    environment = {
        "ORDERS_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "ORDERS_KAFKA__TOPIC": kafka.topic,
        "ORDERS_KAFKA__DEAD_LETTER_TOPIC": kafka.dead_letter_topic,
        "ORDERS_POSTGRES__DSN": postgres_server.dsn,
    }
    both = [spawn("migrate", settings=environment) for _ in range(2)]
    assert [each.process.wait(60) for each in both] == [0, 0], [each.tail() for each in both]
    assert partitions(kafka) == [6, 6]


def test_topics_are_left_to_others_where_the_setting_says_so(kafka: Kafka, database: str, spawn: Spawn) -> None:
    environment = {
        "ORDERS_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "ORDERS_KAFKA__TOPIC": kafka.topic,
        "ORDERS_KAFKA__CREATE_TOPICS": "false",
        "ORDERS_POSTGRES__DSN": database,
    }
    assert spawn("migrate", settings=environment).process.wait(60) == 0
    assert partitions(kafka)[0] == 0


def test_what_kafka_refuses_for_good_ends_at_once(kafka: Kafka) -> None:
    impossible = kafka.model_copy(update={"dead_letter_max_bytes": -5})
    with pytest.raises(MigrationError, match=r"Kafka rejected the request: .*\(INVALID_CONFIG\)"):
        provide(impossible)


def test_too_few_brokers_are_waited_for(kafka: Kafka) -> None:
    with pytest.raises(DeadlineExceeded, match=r"waiting for Kafka: .*\(INVALID_REPLICATION_FACTOR\)"):
        provide(kafka.model_copy(update={"replication_factor": 5}), deadline=1.5)


def test_a_broker_that_is_away_is_waited_for_until_the_deadline() -> None:
    away = Kafka(bootstrap_servers="127.0.0.1:1")
    with pytest.raises(DeadlineExceeded, match="timed out after 1 s waiting for Kafka"):
        topics.wait_for_broker(DiagnosticAdminClient(properties.common(away)), Poller(1, print))


@pytest.mark.parametrize(
    ("config", "seconds"),
    [
        ({"retention_ms": "5000"}, 5 + 60),
        ({"retention_ms": "5000", "cleanup_policy": "compact,delete"}, 5 + 60),
        ({"retention_ms": "5000", "cleanup_policy": "compact"}, topics.FOREVER),
        ({"retention_ms": "-1"}, topics.FOREVER),
    ],
)
def test_a_record_may_stay_for_the_retention_and_the_time_of_its_segment(
    kafka: Kafka, config: dict[str, str], seconds: float
) -> None:
    make(kafka, kafka.topic, 1, segment_ms="60000", **config)
    assert topics.max_record_ages([kafka.topic], DiagnosticAdminClient(properties.common(kafka))) == {
        kafka.topic: seconds
    }
