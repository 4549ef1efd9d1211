"""The checks of `orders doctor`, in the order in which they run. None of them changes anything."""

from collections.abc import Iterator
from functools import partial
from typing import Final

from service.config import KafkaSettings, PostgresSettings, RegistrySettings, Settings
from service.handler.kafka.client import topics
from service.handler.kafka.operations import kafka_checks
from service.handler.kafka.registry.connect import registry_client
from service.repo.operations import listen_checks, postgres_checks, server_settings
from service.repo.schema.missing_columns import MISSING_COLUMNS_HINT
from service.usecases.diagnose import Check

_CREATE_TOPIC: Final = "run `orders migrate`, or create the topic yourself if ORDERS_KAFKA__CREATE_TOPICS=false"

_CHECK_PATTERN: Final = "check ORDERS_KAFKA__TOPICS, and the ACLs: the user needs Describe on the topics"


def checks(settings: Settings) -> Iterator[Check]:
    yield from _broker_checks(settings.kafka)
    yield from _topic_checks(settings.kafka)
    yield _limits_check(settings)
    if settings.dead_letters.exactly_once:
        yield _replication_check(settings.kafka)
    yield _group_check(settings.kafka)
    if settings.registry.urls:
        yield _registry_check(settings.registry)
    yield from _connection_checks(settings.postgres)
    yield from _database_checks(settings)


def _broker_checks(kafka: KafkaSettings) -> Iterator[Check]:
    yield Check("Kafka DNS", partial(kafka_checks.host_names, kafka), "check ORDERS_KAFKA__BOOTSTRAP_SERVERS")
    yield Check(
        "Kafka",
        partial(kafka_checks.brokers, kafka),
        "check that Kafka is running, and TLS and SASL in ORDERS_KAFKA__PROPERTIES",
        ("Kafka DNS",),
    )
    yield Check(
        "advertised addresses",
        partial(kafka_checks.advertised_addresses, kafka),
        "every broker must be reachable at its advertised address: check its advertised.listeners",
        ("Kafka",),
    )


def _topic_checks(kafka: KafkaSettings) -> Iterator[Check]:
    subscription = kafka.subscription
    if subscription.pattern:
        yield Check(_order_topics(kafka)[0], partial(kafka_checks.matching_topics, kafka), _CHECK_PATTERN, ("Kafka",))
    for name in (*subscription.names, kafka.dead_letter_topic):
        yield Check(_topic(name), partial(kafka_checks.topic, kafka, name), _CREATE_TOPIC, ("Kafka",))
    yield Check(
        "in-sync replicas",
        partial(kafka_checks.in_sync_replicas, kafka),
        "no dead letter can be produced: restart the missing brokers, or lower min.insync.replicas of the topic",
        (_topic(kafka.dead_letter_topic),),
    )
    yield Check(
        "dead-letter size limit",
        partial(kafka_checks.size_limit, kafka),
        f"raise {topics.SIZE_LIMIT} of the dead-letter topic, or large messages are dead-lettered without content",
        (*_order_topics(kafka), _topic(kafka.dead_letter_topic)),
    )


def _limits_check(settings: Settings) -> Check:
    return Check(
        "broker limits",
        partial(kafka_checks.broker_limits, settings.kafka, with_transactions=settings.dead_letters.exactly_once),
        "raise them in the configuration of the brokers, or every commit fails",
        ("Kafka",),
    )


def _order_topics(kafka: KafkaSettings) -> tuple[str, ...]:
    """Return the names of the checks of the topics that the group reads."""
    subscription = kafka.subscription
    return (str(subscription),) if subscription.pattern else tuple(map(_topic, subscription.names))


def _topic(name: str) -> str:
    return f"topic {name}"


def _replication_check(kafka: KafkaSettings) -> Check:
    return Check(
        "replication",
        partial(kafka_checks.replicas, kafka),
        "without a replica, a broker that fails may leave a transaction open forever: see docs/delivery.md",
        (_topic(kafka.dead_letter_topic),),
    )


def _group_check(kafka: KafkaSettings) -> Check:
    return Check(
        f"group {kafka.group_id}",
        partial(kafka_checks.group, kafka),
        "check the ACLs: the user needs Read and Describe on the group",
        _order_topics(kafka),
    )


def _registry_check(registry: RegistrySettings) -> Check:
    return Check(
        "schema registry",
        lambda: ", ".join(sorted(registry_client(registry).schema_types())),
        "check that the registry is running, and ORDERS_REGISTRY__URLS with its login and certificates",
    )


def _connection_checks(postgres: PostgresSettings) -> Iterator[Check]:
    yield Check("PostgreSQL DNS", partial(postgres_checks.host_names, postgres), "check ORDERS_POSTGRES__DSN")
    yield Check(
        "PostgreSQL", partial(postgres_checks.server, postgres), "check ORDERS_POSTGRES__DSN", ("PostgreSQL DNS",)
    )


def _database_checks(settings: Settings) -> Iterator[Check]:
    postgres = settings.postgres
    yield Check("schema", partial(postgres_checks.schema, postgres), "run `orders migrate`", ("PostgreSQL",))
    yield Check("columns", partial(postgres_checks.columns, postgres), MISSING_COLUMNS_HINT, ("schema",))
    yield Check(
        "privileges", partial(postgres_checks.privileges, postgres, settings.mode), "run roles.sql", ("schema",)
    )
    yield Check(
        "role settings",
        partial(postgres_checks.session, postgres),
        "check ALTER ROLE … SET and the policies of the tables: see docs/operations.md",
        ("schema",),
    )
    yield Check(
        "notifications",
        partial(listen_checks.all_listeners, postgres),
        "the API caches nothing without them: set ORDERS_POSTGRES__LISTEN_DSN to a direct connection to the primary",
        ("PostgreSQL",),
    )
    yield Check(
        "WAL settings",
        partial(server_settings.wal, postgres),
        "storing into 10^7 orders takes up to twice as long and writes four times the WAL: see docs/operations.md, and "
        "set checkpoint_timeout=30min, wal_compression=lz4, max_wal_size=10GB or as much as the volume allows",
        ("PostgreSQL",),
    )
    yield Check(
        "clocks", partial(postgres_checks.clock_skew, postgres), "synchronize both machines with NTP", ("PostgreSQL",)
    )
