"""Lag with transaction markers, behind an open transaction, and while fetching is paused."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from uuid import uuid4

import psycopg
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from generator.actual import open_consumer, progress
from service.entities.subscription import Subscription
from service.handler.kafka.client.group_lag import GroupLag
from tests.kit.factories import order_document
from tests.kit.harness import Harness, Sent, metric, orders, samples
from tests.kit.processes import Service
from tests.kit.temporary import PARTITIONS
from tests.kit.waiting import eventually

TIMEOUT_SECONDS = 30.0
LAG, AGE = "orders_lag_messages", "orders_lag_seconds"
OPEN, STALLED = "orders_open_transaction_messages", "orders_partition_stalled_seconds"
SMALL_BUFFERS = {"ORDERS_BATCH__MAX_MESSAGES": "10", "ORDERS_KAFKA__PREFETCH": "1KiB"}
"""Settings with which fetching is paused soon."""


@contextmanager
def transactions(harness: Harness) -> Iterator[Producer]:
    """Yield a transactional producer."""
    producer = Producer({
        "bootstrap.servers": harness.bootstrap_servers, "transactional.id": uuid4().hex,
        "transaction.timeout.ms": 600_000, "log_level": 0,
    })  # fmt: skip
    producer.init_transactions(TIMEOUT_SECONDS)
    yield producer


def send(producer: Producer, harness: Harness, messages: Sequence[Sent]) -> set[str]:
    """Produce the messages, block until they are acknowledged, and return their ids."""
    for message in messages:
        producer.produce(harness.topic, message.value, message.key, message.partition)
    assert producer.flush(TIMEOUT_SECONDS) == 0
    return {message.key.decode() for message in messages if message.key}


def new_orders(count: int, partition: int = 0) -> list[Sent]:
    return orders([order_document() for _ in range(count)], partition)


def wait_gauge(service: Service, name: str, value: float) -> None:
    def has_value() -> bool:
        return samples(service, name) != [] and metric(service, name) == value

    try:
        eventually(has_value, TIMEOUT_SECONDS, f"{name} {value}")
    except AssertionError as error:
        raise AssertionError(f"{error}: {samples(service, name)}\n{service.tail()}") from error


def doctor(harness: Harness) -> str:
    process = harness.spawn("doctor", settings=harness.settings)
    assert process.process.wait(TIMEOUT_SECONDS) == 0, process.tail()
    (line,) = (line for line in process.tail().splitlines() if f"group {harness.topic}" in line)
    return line


def lag_of_api(harness: Harness) -> int | None:
    """Return the lag that the API reports."""
    quiet: dict[str, str | int | float | bool] = {"bootstrap.servers": harness.bootstrap_servers, "log_level": 0}
    group = partial(Consumer, quiet | {"group.id": harness.topic})
    group_lag = GroupLag(
        partial(AdminClient, quiet),
        group,
        subscription=Subscription((harness.topic,)),
        dead_letter_topic=harness.dead_letter_topic,
    )
    depths = group_lag.read_if_available()
    return depths.lag if depths else None


def lag_of_check(harness: Harness) -> int:
    """Return the lag that `orders check` computes."""
    reader = open_consumer(harness.bootstrap_servers, harness.topic, {})
    try:
        return progress(reader, harness.topic).lag
    finally:
        reader.close()


@pytest.mark.parametrize("exactly_once", ["false", "true"])
def test_transaction_markers_at_the_end_of_a_partition_are_not_lag(harness: Harness, exactly_once: str) -> None:
    consumer = harness.consumer(ORDERS_DEAD_LETTERS__EXACTLY_ONCE=exactly_once)
    with transactions(harness) as producer:
        producer.begin_transaction()
        uids = send(producer, harness, new_orders(5) + new_orders(5, 1))
        producer.commit_transaction()
        producer.begin_transaction()
        send(producer, harness, new_orders(20))
        producer.abort_transaction()
    harness.wait_stored(uids)
    harness.wait_committed({0: 5 + 1 + 20 + 1, 1: 5 + 1})
    wait_gauge(consumer, LAG, 0)
    wait_gauge(consumer, AGE, 0)
    assert (lag_of_check(harness), eventually(lambda: lag_of_api(harness) == 0, TIMEOUT_SECONDS)) == (0, True)
    assert doctor(harness).endswith("lag 0")
    assert metric(consumer, OPEN) == metric(consumer, STALLED) == 0


def test_orders_behind_an_open_transaction_are_not_lag_and_are_stored_when_it_ends(harness: Harness) -> None:
    first = new_orders(3)
    harness.produce(*first)
    consumer = harness.consumer()
    harness.wait_committed({0: 3})
    with transactions(harness) as producer:
        producer.begin_transaction()
        inside = send(producer, harness, new_orders(2))
        harness.produce(*(behind := new_orders(300)))
        wait_gauge(consumer, OPEN, 302)
        wait_gauge(consumer, LAG, 0)
        wait_gauge(consumer, AGE, 0)
        eventually(lambda: metric(consumer, STALLED, partition="0") > 3, TIMEOUT_SECONDS, "the partition stalls")
        eventually(
            lambda: consumer.logged("a producer's open transaction blocks"),
            TIMEOUT_SECONDS,
            "a producer's open transaction blocks",
        )
        assert doctor(harness).endswith("lag 0, 302 messages behind an open transaction")
        assert eventually(lambda: lag_of_api(harness) == 0, TIMEOUT_SECONDS)
        producer.commit_transaction()
    harness.wait_stored(inside | {each.key.decode() for each in (*first, *behind) if each.key})
    harness.wait_committed({0: 3 + 2 + 300 + 1})
    for name in (OPEN, LAG, AGE, STALLED):
        wait_gauge(consumer, name, 0)
    assert doctor(harness).endswith("lag 0")


def test_an_offset_after_a_marker_is_committed_only_after_the_orders_before_it(harness: Harness) -> None:
    consumer = harness.consumer(**SMALL_BUFFERS)
    with psycopg.connect(harness.database) as connection, transactions(harness) as producer:
        connection.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        producer.begin_transaction()
        uids = send(producer, harness, new_orders(5))
        producer.commit_transaction()
        wait_gauge(consumer, LAG, 6)
        eventually(lambda: metric(consumer, STALLED, partition="0") > 2, TIMEOUT_SECONDS, "the partition stalls")
        assert harness.committed() == {}
    harness.wait_stored(uids)
    harness.wait_committed({0: 6})


def test_an_offset_behind_messages_that_wait_for_the_circuit_breaker_is_not_committed(harness: Harness) -> None:
    with transactions(harness) as producer:
        producer.begin_transaction()
        send(producer, harness, [Sent(b"{", b"bad")] * 20)
        producer.commit_transaction()
    consumer = harness.consumer(ORDERS_CIRCUIT_BREAKER__MAX_CONSECUTIVE="10", ORDERS_CIRCUIT_BREAKER__RETRY_AFTER="1h")
    eventually(
        lambda: metric(consumer, "orders_circuit_breaker_open") == 1, TIMEOUT_SECONDS, "the circuit breaker is open"
    )
    processed = harness.committed().get(0, 0)
    assert processed < 10  # the first batch may be too small to open the circuit breaker
    wait_gauge(consumer, LAG, 21 - processed)
    assert harness.committed().get(0, 0) == processed
    assert consumer.stop() == 0
    harness.consumer(ORDERS_CIRCUIT_BREAKER__ENABLED="false")
    harness.wait_committed({0: 21})
    assert len(harness.dead_letters()) == 20


def test_an_offset_that_probes_reach_is_not_committed_while_orders_wait(
    harness: Harness,
) -> None:
    harness.query("CREATE FUNCTION reject() RETURNS trigger AS $$ BEGIN RAISE 'no'; END $$ LANGUAGE plpgsql")
    harness.query("CREATE TRIGGER reject BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION reject()")
    with transactions(harness) as producer:
        producer.begin_transaction()
        uids = send(producer, harness, new_orders(12) + new_orders(12, 1))
        producer.commit_transaction()
    consumer = harness.consumer(ORDERS_CIRCUIT_BREAKER__RETRY_AFTER="1s", ORDERS_CIRCUIT_BREAKER__PROBE_MESSAGES="5")
    eventually(lambda: len(consumer.logged("the circuit breaker is open")) > 4, TIMEOUT_SECONDS, "probes reach the end")
    processed = sum(harness.committed().values())
    assert processed < 10  # the first batch may be too small to open the circuit breaker
    wait_gauge(consumer, LAG, 26 - processed)
    assert sum(harness.committed().values()) == processed
    harness.query("DROP TRIGGER reject ON orders")
    harness.wait_committed({0: 13, 1: 13})
    rejected = {(dead_letter.key() or b"").decode() for dead_letter in harness.dead_letters()}
    assert (len(rejected), harness.stored()) == (processed, uids - rejected)


# While fetching is paused


def test_lag_grows_during_an_outage_even_in_partitions_never_read(harness: Harness) -> None:
    """The group has committed offsets in one partition and none in the others."""
    harness.produce(*(known := new_orders(4, 1)))
    earlier = harness.consumer(**SMALL_BUFFERS)
    harness.wait_committed({1: len(known)})
    assert earlier.stop() == 0
    with psycopg.connect(harness.database) as connection:
        connection.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        harness.produce(*new_orders(40))
        consumer = harness.consumer(**SMALL_BUFFERS)
        eventually(lambda: consumer.logged("fetching is paused"), TIMEOUT_SECONDS, "fetching is paused")
        wait_gauge(consumer, LAG, 40)
        for count in (40 + 7, 40 + 14):
            harness.produce(*new_orders(4), *new_orders(2, 1), *new_orders(1, 2))
            wait_gauge(consumer, LAG, count)
        assert metric(consumer, LAG, partition="1") == 4
        eventually(
            lambda: metric(consumer, AGE, partition="0") > 2, TIMEOUT_SECONDS, "the age of the oldest message grows"
        )
        eventually(lambda: metric(consumer, STALLED, partition="0") > 2, TIMEOUT_SECONDS, "the partition stalls")
    for name in (LAG, AGE, STALLED):
        wait_gauge(consumer, name, 0)


def test_lag_is_exact_in_partitions_assigned_to_a_paused_member(harness: Harness) -> None:
    harness.produce(*(known := [each for number in range(PARTITIONS) for each in new_orders(5, number)]))
    first, second = harness.consumer(**SMALL_BUFFERS), harness.consumer(**SMALL_BUFFERS)
    harness.wait_committed(dict.fromkeys(range(PARTITIONS), 5))
    members = (first, second)
    eventually(
        lambda: all(len(samples(each, LAG)) for each in members), TIMEOUT_SECONDS, "both members have partitions"
    )
    remaining = max(members, key=lambda each: len(samples(each, LAG)))
    killed = next(each for each in members if each is not remaining)
    with psycopg.connect(harness.database) as connection:
        connection.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        harness.produce(*[each for number in range(PARTITIONS) for each in new_orders(30, number)])
        eventually(lambda: remaining.logged("fetching is paused"), TIMEOUT_SECONDS, "fetching is paused")
        killed.kill()
        eventually(
            lambda: len(samples(remaining, LAG)) == PARTITIONS, TIMEOUT_SECONDS, "the other member has all partitions"
        )
        wait_gauge(remaining, LAG, 30 * PARTITIONS)
        harness.produce(*new_orders(3, 0), *new_orders(3, 1), *new_orders(3, 2))
        wait_gauge(remaining, LAG, 33 * PARTITIONS)
    wait_gauge(remaining, LAG, 0)
    assert len(harness.stored()) == len(known) + 33 * PARTITIONS


def test_lag_grows_while_the_circuit_breaker_is_open(harness: Harness) -> None:
    consumer = harness.consumer(ORDERS_CIRCUIT_BREAKER__MAX_CONSECUTIVE="10", ORDERS_CIRCUIT_BREAKER__RETRY_AFTER="1h")
    harness.produce(*[Sent(b"{", b"bad")] * 20)
    eventually(
        lambda: metric(consumer, "orders_circuit_breaker_open") == 1, TIMEOUT_SECONDS, "the circuit breaker is open"
    )
    wait_gauge(consumer, LAG, 20)
    harness.produce(*new_orders(5), *new_orders(5, 2))
    wait_gauge(consumer, LAG, 30)
    eventually(lambda: metric(consumer, STALLED, partition="0") > 2, TIMEOUT_SECONDS, "the partition stalls")
