"""What `/stats` reports of the consumer group: its members, what each owns, and the lag of each partition."""

from collections.abc import Mapping
from functools import partial
from socket import gethostname
from time import time
from typing import Any

import httpx2
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from service.config import KafkaSettings
from service.entities.partition import Partition
from service.entities.subscription import Subscription
from service.handler.kafka.client import properties
from service.handler.kafka.client.group_members import GroupMembers
from service.handler.kafka.client.next_timestamps import next_timestamps
from tests.kit.consumers import assigned
from tests.kit.factories import order_document
from tests.kit.harness import Harness, Sent, orders
from tests.kit.processes import Service, Spawn
from tests.kit.temporary import PARTITIONS
from tests.kit.waiting import eventually

WITHIN_SECONDS = 30.0
CLIENT_ID = f"orders-{gethostname()}"
EVERY_PARTITION = [*range(PARTITIONS)]


@pytest.fixture
def api(spawn: Spawn, settings: Mapping[str, str]) -> Service:
    return spawn("api", settings=settings).ready()


def stats(api: Service) -> Any:
    return httpx2.get(f"{api.url}/stats").raise_for_status().json()


def members_of(harness: Harness) -> GroupMembers:
    admin = partial(AdminClient, {"bootstrap.servers": harness.bootstrap_servers})
    return GroupMembers(admin, group_id=harness.topic, subscription=Subscription((harness.topic,)))


def known(api: Service, name: str) -> Any:
    """Wait until the API could read the part, which takes longer the first time, and return it."""
    return eventually(lambda: stats(api)[name], within=WITHIN_SECONDS, what=name)


def test_members_are_listed_with_their_partitions(api: Service, harness: Harness) -> None:
    stopped = known(api, "consumers")
    assert (stopped["is_running"], stopped["members"]) == (False, [])
    consumer = assigned(harness.consumer())
    eventually(lambda: known(api, "consumers")["is_running"], within=WITHIN_SECONDS)
    running = known(api, "consumers")
    owned = [{"topic": harness.topic, "partitions": EVERY_PARTITION}]
    assert running["members"] == [{"client_id": CLIENT_ID, "topics": owned}]
    assert running["since"] > stopped["since"]
    assert consumer.stop() == 0
    eventually(lambda: not known(api, "consumers")["is_running"], within=WITHIN_SECONDS)


def test_members_of_the_protocol_consumer_are_unknown(harness: Harness) -> None:
    assigned(harness.consumer(ORDERS_KAFKA__GROUP_PROTOCOL="consumer"))
    assert members_of(harness).read() is None


def test_the_lag_of_a_partition_is_its_messages_and_the_age_of_the_oldest(api: Service, harness: Harness) -> None:
    sent_at = time()
    harness.produce(*orders([order_document(order_uid=uid) for uid in ("one", "two")], 1))
    [behind] = eventually(
        lambda: [each for each in known(api, "partitions") if each["messages"] and each["seconds"] is not None],
        within=WITHIN_SECONDS,
    )
    assert (behind["topic"], behind["partition"], behind["messages"]) == (harness.topic, 1, 2)
    assert behind["seconds"] <= time() - sent_at + 1
    found = stats(api)
    assert [each["seconds"] for each in found["partitions"] if each["partition"] != 1] == [0, 0]
    assert found["lag"] == 2
    harness.consumer()
    eventually(lambda: {each["messages"] for each in known(api, "partitions")} == {0}, within=WITHIN_SECONDS)
    assert {each["seconds"] for each in known(api, "partitions")} == {0}


def test_without_kafka_everything_else_is_answered(spawn: Spawn, settings: Mapping[str, str]) -> None:
    api = spawn("api", settings={**settings, "ORDERS_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9"}).ready()
    eventually(lambda: stats(api)["stored"] is not None, within=WITHIN_SECONDS)
    found = stats(api)
    assert [found[name] for name in ("lag", "partitions", "consumers", "dead_letters")] == [None] * 4
    pool = found["pool"]
    assert 1 <= pool["size"] <= pool["max_size"] == 8
    assert (pool["in_use"] <= pool["size"], pool["waiting"]) == (True, 0)


def test_a_group_that_does_not_exist_has_no_members(harness: Harness) -> None:
    assert eventually(lambda: members_of(harness).read_if_available() == [], within=WITHIN_SECONDS)


def test_the_next_timestamp_of_each_partition_is_read_although_one_has_many_messages(harness: Harness) -> None:
    producer = Producer({"bootstrap.servers": harness.bootstrap_servers})
    for number in range(5_000):
        producer.produce(harness.topic, b"x" * 100, partition=0, timestamp=1_000 + number)
        producer.poll(0)
    producer.produce(harness.topic, b"", partition=1, timestamp=77)
    assert producer.flush(30) == 0
    kafka = KafkaSettings(bootstrap_servers=harness.bootstrap_servers)
    read = partial(next_timestamps, lambda: Consumer(properties.order_peeker(kafka)))
    p0, p1, p2 = (Partition(harness.topic, number) for number in range(3))
    found = eventually(lambda: of if len(of := read({p0: 3, p1: 0, p2: 0})) == 2 else None, within=WITHIN_SECONDS)
    assert found == {p0: 1_003, p1: 77}


def test_without_offsets_no_client_is_created() -> None:
    def fail() -> Consumer:
        raise AssertionError("a client was created")

    assert next_timestamps(fail, {}) == {}


def test_an_unreadable_partition_gives_no_timestamp(harness: Harness) -> None:
    harness.produce(Sent(b"{}", b"key", partition=0))
    kafka = KafkaSettings(bootstrap_servers="127.0.0.1:9")
    assert next_timestamps(lambda: Consumer(properties.order_peeker(kafka)), {Partition(harness.topic, 0): 0}) == {}
