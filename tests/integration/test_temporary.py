"""The topics, databases and servers of single tests are isolated from each other."""

import psycopg
from confluent_kafka.admin import AdminClient

from local.broker import Broker
from local.postgres import Postgres
from tests.kit import servers, temporary


def test_a_temporary_topic_has_three_partitions_and_a_dead_letter_topic(
    kafka_server: servers.Kafka, topic: str
) -> None:
    topics = AdminClient({"bootstrap.servers": kafka_server.bootstrap_servers}).list_topics(timeout=10).topics
    assert [len(topics[name].partitions) for name in (topic, f"{topic}.dlq")] == [3, 3]


def test_a_temporary_database_is_migrated_and_isolated(
    postgres_server: servers.Postgres, migrated_template: str, database: str
) -> None:
    with psycopg.connect(database, autocommit=True) as changed:
        changed.execute("DROP TABLE items")
    with temporary.database(postgres_server.dsn, migrated_template) as (_, other), psycopg.connect(other) as unchanged:
        assert unchanged.execute("SELECT count(*) FROM items").fetchone() == (0,)


def test_a_database_with_an_open_connection_can_be_dropped(postgres_server: servers.Postgres) -> None:
    with temporary.database(postgres_server.dsn) as (name, dsn):
        left_open = psycopg.connect(dsn)
    with psycopg.connect(postgres_server.dsn) as admin:
        assert admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None
    left_open.close()


def test_own_postgresql_is_migrated_and_survives_a_kill(own_postgres: Postgres) -> None:
    own_postgres.kill()
    own_postgres.start()
    with psycopg.connect(own_postgres.dsn) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (0,)


def test_own_kafka_keeps_its_topics_across_a_restart(own_kafka: Broker) -> None:
    with temporary.topic(own_kafka.bootstrap_servers) as topic:
        own_kafka.stop()
        own_kafka.start()
        topics = AdminClient({"bootstrap.servers": own_kafka.bootstrap_servers}).list_topics(timeout=10).topics
    assert {topic, f"{topic}.dlq"} <= topics.keys()
