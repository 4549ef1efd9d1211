"""How far behind consumers are: with the markers of transactions, behind an open one, and while nothing is fetched."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from uuid import uuid4

import psycopg
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from generator.actual import open_consumer, progress
from service.handler.kafka.client.group_lag import GroupLag
from tests.factories import order_document
from tests.harness import Harness, Sent, metric, orders, samples
from tests.processes import Service
from tests.temporary import PARTITIONS
from tests.waiting import eventually

SECONDS = 30.0
LAG, AGE = "orders_lag_messages", "orders_lag_seconds"
OPEN, STALLED = "orders_open_transaction_messages", "orders_partition_stalled_seconds"
SMALL = {"ORDERS_BATCH__MAX_MESSAGES": "10", "ORDERS_KAFKA__PREFETCH": "1KiB"}
"""With little in memory, so that fetching is paused soon."""


@contextmanager
def transactions(harness: Harness) -> Iterator[Producer]:
    """A producer whose transactions stay open until they are ended; an open one is aborted at the end."""
    producer = Producer({
        "bootstrap.servers": harness.bootstrap_servers, "transactional.id": uuid4().hex,
        "transaction.timeout.ms": 600_000, "log_level": 0,
    })  # fmt: skip
    producer.init_transactions(SECONDS)
    yield producer


def send(producer: Producer, harness: Harness, messages: Sequence[Sent]) -> set[str]:
    """Block until the topic has them; return their ids."""
    for message in messages:
        producer.produce(harness.topic, message.value, message.key, message.partition)
    assert producer.flush(SECONDS) == 0
    return {message.key.decode() for message in messages if message.key}


def some(count: int, partition: int = 0) -> list[Sent]:
    return orders([order_document() for _ in range(count)], partition)


def wait_gauge(service: Service, name: str, value: float) -> None:
    def told() -> bool:
        return samples(service, name) != [] and metric(service, name) == value

    try:
        eventually(told, SECONDS, f"{name} {value}")
    except AssertionError as error:
        raise AssertionError(f"{error}: {samples(service, name)}\n{service.tail()}") from error


def doctor(harness: Harness) -> str:
    process = harness.spawn("doctor", settings=harness.settings)
    assert process.process.wait(SECONDS) == 0, process.tail()
    (line,) = (line for line in process.tail().splitlines() if f"group {harness.topic}" in line)
    return line


def watched(harness: Harness) -> int | None:
    """Return the lag that the API tells."""
    quiet: dict[str, str | int | float | bool] = {"bootstrap.servers": harness.bootstrap_servers, "log_level": 0}
    group = partial(Consumer, quiet | {"group.id": harness.topic})
    read = GroupLag(partial(AdminClient, quiet), group, harness.topic, harness.dead_letter_topic).read()
    return read.lag if read else None


def checked(harness: Harness) -> int:
    """Return the lag that `orders check` waits for."""
    reader = open_consumer(harness.bootstrap_servers, harness.topic, {})
    try:
        return progress(reader, harness.topic).lag
    finally:
        reader.close()


@pytest.mark.parametrize("exactly_once", ["false", "true"])
def test_at_the_end_of_what_transactions_wrote_the_lag_is_0_for_all_who_tell_it(
    harness: Harness, exactly_once: str
) -> None:
    consumer = harness.consumer(ORDERS_DEAD_LETTERS__EXACTLY_ONCE=exactly_once)
    with transactions(harness) as producer:
        producer.begin_transaction()
        uids = send(producer, harness, some(5) + some(5, 1))
        producer.commit_transaction()
        producer.begin_transaction()
        send(producer, harness, some(20))
        producer.abort_transaction()
    harness.wait_stored(uids)
    harness.wait_committed({0: 5 + 1 + 20 + 1, 1: 5 + 1})
    wait_gauge(consumer, LAG, 0)
    wait_gauge(consumer, AGE, 0)
    assert (checked(harness), eventually(lambda: watched(harness) == 0, SECONDS)) == (0, True)
    assert doctor(harness).endswith("lag 0")
    assert metric(consumer, OPEN) == metric(consumer, STALLED) == 0


def test_orders_behind_an_open_transaction_are_told_apart_and_stored_when_it_ends(harness: Harness) -> None:
    first = some(3)
    harness.produce(*first)
    consumer = harness.consumer()
    harness.wait_committed({0: 3})
    with transactions(harness) as producer:
        producer.begin_transaction()
        inside = send(producer, harness, some(2))
        harness.produce(*(behind := some(300)))
        wait_gauge(consumer, OPEN, 302)
        wait_gauge(consumer, LAG, 0)
        wait_gauge(consumer, AGE, 0)
        eventually(lambda: metric(consumer, STALLED, partition="0") > 3, SECONDS, "it stands still")
        eventually(lambda: consumer.logged("a producer's open transaction holds back"), SECONDS, "it is logged")
        assert doctor(harness).endswith("lag 0, 302 messages behind an open transaction")
        assert eventually(lambda: watched(harness) == 0, SECONDS)
        producer.commit_transaction()
    harness.wait_stored(inside | {each.key.decode() for each in (*first, *behind) if each.key})
    harness.wait_committed({0: 3 + 2 + 300 + 1})
    for name in (OPEN, LAG, AGE, STALLED):
        wait_gauge(consumer, name, 0)
    assert doctor(harness).endswith("lag 0")


def test_the_end_that_was_reached_is_not_committed_before_what_lies_before_it_is_stored(harness: Harness) -> None:
    consumer = harness.consumer(**SMALL)
    with psycopg.connect(harness.database) as connection, transactions(harness) as producer:
        connection.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        producer.begin_transaction()
        uids = send(producer, harness, some(5))
        producer.commit_transaction()
        wait_gauge(consumer, LAG, 6)
        eventually(lambda: metric(consumer, STALLED, partition="0") > 2, SECONDS, "time passes")
        assert harness.committed() == {}
    harness.wait_stored(uids)
    harness.wait_committed({0: 6})


def test_an_end_behind_messages_that_the_circuit_breaker_holds_back_is_not_committed(harness: Harness) -> None:
    with transactions(harness) as producer:
        producer.begin_transaction()
        send(producer, harness, [Sent(b"{", b"bad")] * 20)
        producer.commit_transaction()
    consumer = harness.consumer(ORDERS_CIRCUIT_BREAKER__MAX_CONSECUTIVE="10", ORDERS_CIRCUIT_BREAKER__RETRY_AFTER="1h")
    eventually(lambda: metric(consumer, "orders_circuit_breaker_open") == 1, SECONDS, "the circuit breaker is open")
    alone = harness.committed().get(0, 0)
    assert alone < 10  # a first batch of few is no flood
    wait_gauge(consumer, LAG, 21 - alone)
    assert harness.committed().get(0, 0) == alone
    assert consumer.stop() == 0
    harness.consumer(ORDERS_CIRCUIT_BREAKER__ENABLED="false")
    harness.wait_committed({0: 21})
    assert len(harness.dead_letters()) == 20


def test_an_end_that_trials_reach_is_not_committed_while_the_circuit_breaker_holds_orders_back(
    harness: Harness,
) -> None:
    harness.query("CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN RAISE 'no'; END $$ LANGUAGE plpgsql")
    harness.query("CREATE TRIGGER refuse BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION refuse()")
    with transactions(harness) as producer:
        producer.begin_transaction()
        uids = send(producer, harness, some(12) + some(12, 1))
        producer.commit_transaction()
    consumer = harness.consumer(ORDERS_CIRCUIT_BREAKER__RETRY_AFTER="1s", ORDERS_CIRCUIT_BREAKER__PROBE_MESSAGES="5")
    eventually(lambda: len(consumer.logged("the circuit breaker is open")) > 4, SECONDS, "all was tried")
    alone = sum(harness.committed().values())
    assert alone < 10  # a first batch of few is no flood
    wait_gauge(consumer, LAG, 26 - alone)
    assert sum(harness.committed().values()) == alone
    harness.query("DROP TRIGGER refuse ON orders")
    harness.wait_committed({0: 13, 1: 13})
    refused = {(dead_letter.key() or b"").decode() for dead_letter in harness.dead_letters()}
    assert (len(refused), harness.stored()) == (alone, uids - refused)


# While nothing is fetched


def test_lag_grows_in_an_outage_also_in_partitions_that_were_never_read(harness: Harness) -> None:
    """Also where the group has no offsets yet, and where it has some and the member was given them while it paused."""
    harness.produce(*(known := some(4, 1)))
    earlier = harness.consumer(**SMALL)
    harness.wait_committed({1: len(known)})
    assert earlier.stop() == 0
    with psycopg.connect(harness.database) as connection:
        connection.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        harness.produce(*some(40))
        consumer = harness.consumer(**SMALL)
        eventually(lambda: consumer.logged("fetching is paused"), SECONDS, "it is paused")
        wait_gauge(consumer, LAG, 40)
        for count in (40 + 7, 40 + 14):
            harness.produce(*some(4), *some(2, 1), *some(1, 2))
            wait_gauge(consumer, LAG, count)
        assert metric(consumer, LAG, partition="1") == 4
        eventually(lambda: metric(consumer, AGE, partition="0") > 2, SECONDS, "it grows older")
        eventually(lambda: metric(consumer, STALLED, partition="0") > 2, SECONDS, "it stands still")
    for name in (LAG, AGE, STALLED):
        wait_gauge(consumer, name, 0)


def test_lag_is_right_in_partitions_that_come_to_a_member_that_is_paused(harness: Harness) -> None:
    harness.produce(*(known := [each for number in range(PARTITIONS) for each in some(5, number)]))
    first, second = harness.consumer(**SMALL), harness.consumer(**SMALL)
    harness.wait_committed(dict.fromkeys(range(PARTITIONS), 5))
    members = (first, second)
    eventually(lambda: all(len(samples(each, LAG)) for each in members), SECONDS, "both have partitions")
    stays = max(members, key=lambda each: len(samples(each, LAG)))
    leaves = next(each for each in members if each is not stays)
    with psycopg.connect(harness.database) as connection:
        connection.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        harness.produce(*[each for number in range(PARTITIONS) for each in some(30, number)])
        eventually(lambda: stays.logged("fetching is paused"), SECONDS, "it is paused")
        leaves.kill()
        eventually(lambda: len(samples(stays, LAG)) == PARTITIONS, SECONDS, "it has all partitions")
        wait_gauge(stays, LAG, 30 * PARTITIONS)
        harness.produce(*some(3, 0), *some(3, 1), *some(3, 2))
        wait_gauge(stays, LAG, 33 * PARTITIONS)
    wait_gauge(stays, LAG, 0)
    assert len(harness.stored()) == len(known) + 33 * PARTITIONS


def test_lag_grows_while_the_circuit_breaker_is_open(harness: Harness) -> None:
    consumer = harness.consumer(ORDERS_CIRCUIT_BREAKER__MAX_CONSECUTIVE="10", ORDERS_CIRCUIT_BREAKER__RETRY_AFTER="1h")
    harness.produce(*[Sent(b"{", b"bad")] * 20)
    eventually(lambda: metric(consumer, "orders_circuit_breaker_open") == 1, SECONDS, "the circuit breaker is open")
    wait_gauge(consumer, LAG, 20)
    harness.produce(*some(5), *some(5, 2))
    wait_gauge(consumer, LAG, 30)
    eventually(lambda: metric(consumer, STALLED, partition="0") > 2, SECONDS, "it stands still")
