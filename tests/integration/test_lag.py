"""How far behind consumers are: with the markers of transactions, behind an open one, and while nothing is fetched."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from uuid import uuid4

import psycopg
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from generator.found import open_consumer, progress
from service.handler.kafka.client.group_lag import GroupLag
from tests.factories import order_document
from tests.fresh import PARTITIONS
from tests.processes import Service
from tests.stage import Sent, Stage, metric, orders, samples
from tests.waiting import eventually

SECONDS = 30.0
LAG, AGE = "orders_lag_messages", "orders_lag_seconds"
OPEN, STALLED = "orders_open_transaction_messages", "orders_partition_stalled_seconds"
SMALL = {"ORDERS_BATCH__MAX_MESSAGES": "10", "ORDERS_KAFKA__PREFETCH": "1KiB"}
"""With little in memory, so that fetching is paused soon."""


@contextmanager
def transactions(stage: Stage) -> Iterator[Producer]:
    """A producer whose transactions stay open until they are ended; an open one is aborted at the end."""
    producer = Producer({
        "bootstrap.servers": stage.bootstrap_servers, "transactional.id": uuid4().hex,
        "transaction.timeout.ms": 600_000, "log_level": 0,
    })  # fmt: skip
    producer.init_transactions(SECONDS)
    yield producer


def send(producer: Producer, stage: Stage, messages: Sequence[Sent]) -> set[str]:
    """Block until the topic has them; return their ids."""
    for message in messages:
        producer.produce(stage.topic, message.value, message.key, message.partition)
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


def doctor(stage: Stage) -> str:
    process = stage.spawn("doctor", settings=stage.settings)
    assert process.process.wait(SECONDS) == 0, process.tail()
    (line,) = (line for line in process.tail().splitlines() if f"group {stage.topic}" in line)
    return line


def watched(stage: Stage) -> int | None:
    """Return the lag that the API tells."""
    quiet: dict[str, str | int | float | bool] = {"bootstrap.servers": stage.bootstrap_servers, "log_level": 0}
    group = partial(Consumer, quiet | {"group.id": stage.topic})
    read = GroupLag(partial(AdminClient, quiet), group, stage.topic, stage.dead_letter_topic).read()
    return read.lag if read else None


def checked(stage: Stage) -> int:
    """Return the lag that `orders check` waits for."""
    reader = open_consumer(stage.bootstrap_servers, stage.topic, {})
    try:
        return progress(reader, stage.topic).lag
    finally:
        reader.close()


@pytest.mark.parametrize("exactly_once", ["false", "true"])
def test_at_the_end_of_what_transactions_wrote_the_lag_is_0_for_all_who_tell_it(
    stage: Stage, exactly_once: str
) -> None:
    consumer = stage.consumer(ORDERS_DEAD_LETTERS__EXACTLY_ONCE=exactly_once)
    with transactions(stage) as producer:
        producer.begin_transaction()
        uids = send(producer, stage, some(5) + some(5, 1))
        producer.commit_transaction()
        producer.begin_transaction()
        send(producer, stage, some(20))
        producer.abort_transaction()
    stage.wait_stored(uids)
    stage.wait_committed({0: 5 + 1 + 20 + 1, 1: 5 + 1})
    wait_gauge(consumer, LAG, 0)
    wait_gauge(consumer, AGE, 0)
    assert (checked(stage), eventually(lambda: watched(stage) == 0, SECONDS)) == (0, True)
    assert doctor(stage).endswith("lag 0")
    assert metric(consumer, OPEN) == metric(consumer, STALLED) == 0


def test_orders_behind_an_open_transaction_are_told_apart_and_stored_when_it_ends(stage: Stage) -> None:
    first = some(3)
    stage.produce(*first)
    consumer = stage.consumer()
    stage.wait_committed({0: 3})
    with transactions(stage) as producer:
        producer.begin_transaction()
        inside = send(producer, stage, some(2))
        stage.produce(*(behind := some(300)))
        wait_gauge(consumer, OPEN, 302)
        wait_gauge(consumer, LAG, 0)
        wait_gauge(consumer, AGE, 0)
        eventually(lambda: metric(consumer, STALLED, partition="0") > 3, SECONDS, "it stands still")
        eventually(lambda: consumer.logged("a producer's open transaction holds back"), SECONDS, "it is logged")
        assert doctor(stage).endswith("lag 0, 302 messages behind an open transaction")
        assert eventually(lambda: watched(stage) == 0, SECONDS)
        producer.commit_transaction()
    stage.wait_stored(inside | {each.key.decode() for each in (*first, *behind) if each.key})
    stage.wait_committed({0: 3 + 2 + 300 + 1})
    for name in (OPEN, LAG, AGE, STALLED):
        wait_gauge(consumer, name, 0)
    assert doctor(stage).endswith("lag 0")


def test_the_end_that_was_reached_is_not_committed_before_what_lies_before_it_is_stored(stage: Stage) -> None:
    consumer = stage.consumer(**SMALL)
    with psycopg.connect(stage.database) as connection, transactions(stage) as producer:
        connection.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        producer.begin_transaction()
        uids = send(producer, stage, some(5))
        producer.commit_transaction()
        wait_gauge(consumer, LAG, 6)
        eventually(lambda: metric(consumer, STALLED, partition="0") > 2, SECONDS, "time passes")
        assert stage.committed() == {}
    stage.wait_stored(uids)
    stage.wait_committed({0: 6})


def test_an_end_behind_messages_that_the_circuit_breaker_holds_back_is_not_committed(stage: Stage) -> None:
    with transactions(stage) as producer:
        producer.begin_transaction()
        send(producer, stage, [Sent(b"{", b"bad")] * 20)
        producer.commit_transaction()
    consumer = stage.consumer(ORDERS_CIRCUIT_BREAKER__MAX_CONSECUTIVE="10", ORDERS_CIRCUIT_BREAKER__RETRY_AFTER="1h")
    eventually(lambda: metric(consumer, "orders_circuit_breaker_open") == 1, SECONDS, "the circuit breaker is open")
    alone = stage.committed().get(0, 0)
    assert alone < 10  # a first batch of few is no flood
    wait_gauge(consumer, LAG, 21 - alone)
    assert stage.committed().get(0, 0) == alone
    assert consumer.stop() == 0
    stage.consumer(ORDERS_CIRCUIT_BREAKER__ENABLED="false")
    stage.wait_committed({0: 21})
    assert len(stage.letters()) == 20


def test_an_end_that_trials_reach_is_not_committed_while_the_circuit_breaker_holds_orders_back(stage: Stage) -> None:
    stage.query("CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN RAISE 'no'; END $$ LANGUAGE plpgsql")
    stage.query("CREATE TRIGGER refuse BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION refuse()")
    with transactions(stage) as producer:
        producer.begin_transaction()
        uids = send(producer, stage, some(12) + some(12, 1))
        producer.commit_transaction()
    consumer = stage.consumer(ORDERS_CIRCUIT_BREAKER__RETRY_AFTER="1s", ORDERS_CIRCUIT_BREAKER__PROBE_MESSAGES="5")
    eventually(lambda: len(consumer.logged("the circuit breaker is open")) > 4, SECONDS, "all was tried")
    alone = sum(stage.committed().values())
    assert alone < 10  # a first batch of few is no flood
    wait_gauge(consumer, LAG, 26 - alone)
    assert sum(stage.committed().values()) == alone
    stage.query("DROP TRIGGER refuse ON orders")
    stage.wait_committed({0: 13, 1: 13})
    refused = {(letter.key() or b"").decode() for letter in stage.letters()}
    assert (len(refused), stage.stored()) == (alone, uids - refused)


# While nothing is fetched


def test_lag_grows_in_an_outage_also_in_partitions_that_were_never_read(stage: Stage) -> None:
    """Also where the group has no offsets yet, and where it has some and the member was given them while it paused."""
    stage.produce(*(known := some(4, 1)))
    earlier = stage.consumer(**SMALL)
    stage.wait_committed({1: len(known)})
    assert earlier.stop() == 0
    with psycopg.connect(stage.database) as connection:
        connection.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        stage.produce(*some(40))
        consumer = stage.consumer(**SMALL)
        eventually(lambda: consumer.logged("fetching is paused"), SECONDS, "it is paused")
        wait_gauge(consumer, LAG, 40)
        for count in (40 + 7, 40 + 14):
            stage.produce(*some(4), *some(2, 1), *some(1, 2))
            wait_gauge(consumer, LAG, count)
        assert metric(consumer, LAG, partition="1") == 4
        eventually(lambda: metric(consumer, AGE, partition="0") > 2, SECONDS, "it grows older")
        eventually(lambda: metric(consumer, STALLED, partition="0") > 2, SECONDS, "it stands still")
    for name in (LAG, AGE, STALLED):
        wait_gauge(consumer, name, 0)


def test_lag_is_right_in_partitions_that_come_to_a_member_that_is_paused(stage: Stage) -> None:
    stage.produce(*(known := [each for number in range(PARTITIONS) for each in some(5, number)]))
    first, second = stage.consumer(**SMALL), stage.consumer(**SMALL)
    stage.wait_committed(dict.fromkeys(range(PARTITIONS), 5))
    members = (first, second)
    eventually(lambda: all(len(samples(each, LAG)) for each in members), SECONDS, "both have partitions")
    stays = max(members, key=lambda each: len(samples(each, LAG)))
    leaves = next(each for each in members if each is not stays)
    with psycopg.connect(stage.database) as connection:
        connection.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        stage.produce(*[each for number in range(PARTITIONS) for each in some(30, number)])
        eventually(lambda: stays.logged("fetching is paused"), SECONDS, "it is paused")
        leaves.kill()
        eventually(lambda: len(samples(stays, LAG)) == PARTITIONS, SECONDS, "it has all partitions")
        wait_gauge(stays, LAG, 30 * PARTITIONS)
        stage.produce(*some(3, 0), *some(3, 1), *some(3, 2))
        wait_gauge(stays, LAG, 33 * PARTITIONS)
    wait_gauge(stays, LAG, 0)
    assert len(stage.stored()) == len(known) + 33 * PARTITIONS


def test_lag_grows_while_the_circuit_breaker_is_open(stage: Stage) -> None:
    consumer = stage.consumer(ORDERS_CIRCUIT_BREAKER__MAX_CONSECUTIVE="10", ORDERS_CIRCUIT_BREAKER__RETRY_AFTER="1h")
    stage.produce(*[Sent(b"{", b"bad")] * 20)
    eventually(lambda: metric(consumer, "orders_circuit_breaker_open") == 1, SECONDS, "the circuit breaker is open")
    wait_gauge(consumer, LAG, 20)
    stage.produce(*some(5), *some(5, 2))
    wait_gauge(consumer, LAG, 30)
    eventually(lambda: metric(consumer, STALLED, partition="0") > 2, SECONDS, "it stands still")
