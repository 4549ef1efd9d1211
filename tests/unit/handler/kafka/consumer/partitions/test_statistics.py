"""The figures that the consumer reads from librdkafka's statistics."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from local import broker
from service.entities.partition import Partition
from service.handler.kafka.consumer.partitions.statistics import PartitionEnd, Statistics
from tests.kit.order_partitions import P0, P1, P2, P3
from tests.kit.waiting import eventually

SECONDS = 10.0
TWO_TOPICS = {"orders": 3, "orders.eu": 5}


def partition(**changes: Any) -> dict[str, Any]:
    figures = {"committed_offset": -1001, "lo_offset": -1001, "fetch_state": "none", "hi_offset": -1001}
    return figures | {"ls_offset": -1001, "unused": 1} | changes


def statistics(*states: str, **partitions: dict[str, Any]) -> Statistics:
    brokers = {str(number): {"state": state, "rtt": {}} for number, state in enumerate(states)}
    numbered = {name.removeprefix("p"): figures for name, figures in partitions.items()}
    return Statistics.read(json.dumps({"ts": 1, "brokers": brokers, "topics": {"orders": {"partitions": numbered}}}))


@pytest.mark.parametrize(
    ("states", "is_up"),
    [((), False), (("INIT", "DOWN"), False), (("DOWN", "UP"), True), (("AUTH_REQ",), False)],
)
def test_kafka_is_up_if_any_broker_is(states: tuple[str, ...], is_up: bool) -> None:  # noqa: FBT001 - a parameter
    assert statistics(*states).any_broker_is_up is is_up


def test_only_active_partitions_are_fetched() -> None:
    found = statistics(p0=partition(fetch_state="active"), p1=partition(fetch_state="offset-query"), p2=partition())
    assert found.fetched == {P0}


def test_a_partition_without_a_commit_starts_at_its_first_offset() -> None:
    found = statistics(
        p0=partition(committed_offset=7, lo_offset=3),
        p1=partition(lo_offset=3),
        p2=partition(),
        p3=partition(committed_offset=2, lo_offset=5),
    )
    assert found.committed == {P0: 7, P1: 3, P2: 0, P3: 5}


def test_a_partition_has_no_end_before_its_first_fetch() -> None:
    found = statistics(p0=partition(hi_offset=9, ls_offset=6), p1=partition(hi_offset=9))
    assert found.ends == {P0: PartitionEnd(9, 6)}


@pytest.mark.parametrize(("end", "stable", "messages"), [(9, 6, 3), (9, 9, 0), (5, 6, 0)])
def test_messages_from_the_first_open_transaction_on_are_counted(end: int, stable: int, messages: int) -> None:
    assert PartitionEnd(end, stable).open_transaction_messages == messages


def test_before_the_client_knows_a_topic_there_are_no_partitions() -> None:
    found = Statistics.read('{"brokers": {}}')
    assert (found.fetched, found.committed, found.ends) == (set(), {}, {})


def test_partitions_of_several_topics_are_told_apart() -> None:
    topics = {name: {"partitions": {"0": partition(hi_offset=end, ls_offset=end)}} for name, end in TWO_TOPICS.items()}
    found = Statistics.read(json.dumps({"brokers": {}, "topics": topics}))
    assert found.ends == {Partition(name, 0): PartitionEnd(end, end) for name, end in TWO_TOPICS.items()}


@pytest.fixture
def bootstrap_servers() -> Iterator[str]:
    with broker.mock(["orders"]) as cluster:
        yield cluster.bootstrap_servers


def test_librdkafka_reports_the_figures_that_are_read(bootstrap_servers: str) -> None:
    producer = Producer({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    producer.produce("orders", b"{}", partition=0)
    assert producer.flush(SECONDS) == 0
    texts: list[str] = []
    properties: dict[str, Any] = {
        "bootstrap.servers": bootstrap_servers, "group.id": "orders", "statistics.interval.ms": 50,
        "stats_cb": texts.append, "log_level": 0,
    }  # fmt: skip
    consumer = Consumer(properties)
    consumer.assign([TopicPartition("orders", 0, 0)])

    def are_read() -> bool:
        consumer.consume(10, 0.05)
        found = Statistics.read(texts[-1]) if texts else Statistics({})
        return found.any_broker_is_up and found.fetched == {P0} and found.ends == {P0: (1, 1)}

    eventually(are_read, SECONDS, "the statistics have the end of the partition")
    consumer.close()
