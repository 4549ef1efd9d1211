"""Fresh topics and databases on a running server, and a broker past the delays of its first use."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]
from confluent_kafka.cimpl import NewTopic
from psycopg.sql import SQL, Composed, Identifier

from tests.waiting import eventually

PARTITIONS = 3
KEPT = {"retention.ms": "-1"}
"""Or the broker deletes what a test sends under a timestamp of long ago, at its next look, which may be any moment."""
ADMIN_SECONDS = 30.0
FIRST_USE_SECONDS = 60.0
JOIN_SECONDS = 15.0  # 4 s on an idle machine, half of them librdkafka's own pauses


@contextmanager
def topic(bootstrap_servers: str) -> Iterator[str]:
    """Name of a new topic of three partitions, with `<name>.dlq` beside it; both are deleted at the end."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    name = f"orders-{uuid4().hex[:12]}"
    both = [name, f"{name}.dlq"]
    _done(admin.create_topics([NewTopic(each, PARTITIONS, replication_factor=1, config=KEPT) for each in both]))
    eventually(lambda: _are_led(admin, both), ADMIN_SECONDS, name)
    yield name
    _done(admin.delete_topics(both))


def _are_led(admin: AdminClient, topics: list[str]) -> bool:
    """Tell whether each partition's leader answers: metadata may name it before it knows that it is the leader."""
    if not set(topics) <= admin.list_topics(timeout=ADMIN_SECONDS).topics.keys():
        return False
    partitions = [TopicPartition(name, partition) for name in topics for partition in range(PARTITIONS)]
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    try:
        _done(admin.list_offsets(dict.fromkeys(partitions, latest), request_timeout=ADMIN_SECONDS))
    except KafkaException:
        return False
    return True


def _done(requests: Mapping[Any, Future[Any]]) -> None:
    for request in requests.values():
        request.result(ADMIN_SECONDS)


@contextmanager
def database(admin_url: str, template: str = "template1") -> Iterator[tuple[str, str]]:
    """Name and URL of a new copy of `template`, to which nobody may be connected; dropped at the end, used or not."""
    name = f"orders_{uuid4().hex[:12]}"
    _administer(admin_url, SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), Identifier(template)))
    yield name, urlsplit(admin_url)._replace(path=f"/{name}").geturl()
    _administer(admin_url, SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def _administer(admin_url: str, statement: Composed) -> None:
    """On a connection of its own: the server may have been restarted since the last one."""
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(statement)


def warm_up(bootstrap_servers: str) -> None:
    """Block until the broker has served its first idempotent producer and its first group: that takes it 1-3 s once."""
    with topic(bootstrap_servers) as name:
        producer = Producer({"bootstrap.servers": bootstrap_servers, "enable.idempotence": True})
        producer.produce(name, b"warm-up")
        assert producer.flush(FIRST_USE_SECONDS) == 0, "the broker took no message"
        eventually(lambda: _is_read(bootstrap_servers, name), FIRST_USE_SECONDS, "a group that reads")


def _is_read(bootstrap_servers: str, topic: str) -> bool:
    """Read one message as a group of its own: a join that was lost while the broker set groups up may wait for ever."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": f"warm-up-{uuid4().hex}",
            "auto.offset.reset": "earliest",
            "session.timeout.ms": 6_000,
        }
    )
    with closing(consumer):
        consumer.subscribe([topic])
        message = consumer.poll(JOIN_SECONDS)
        return message is not None and message.error() is None
