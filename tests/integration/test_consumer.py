"""A consumer as a separate process with a real Kafka and PostgreSQL stores each order exactly once."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from random import Random
from subprocess import TimeoutExpired
from time import monotonic
from typing import Any

import httpx2
import psycopg
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.cimpl import NewTopic
from msgspec.json import decode, encode

from service.entities.dead_letter_headers import read_origin
from tests.kit.factories import SAMPLE, Document, order_document
from tests.kit.harness import TIMEOUT_SECONDS, Harness, Sent, headers, metric, orders, samples
from tests.kit.processes import DRAIN_TIMEOUT_SECONDS, Service
from tests.kit.temporary import PARTITIONS
from tests.kit.waiting import eventually

UID = SAMPLE["order_uid"]
TABLES = ("orders", "deliveries", "payments", "items")
PROTOCOLS = pytest.mark.parametrize("protocol", ["classic", "consumer"])
JOIN_SECONDS = 30.0  # 3 s on an idle machine; with the protocol `consumer` a heartbeat of 5 s more
BACKLOG = 20_000
PEAK_MIB = 230
"""Peak memory with a backlog: two full batches in flight, 10% below the documented limit of 256 MiB."""


def assigned(service: Service) -> Service:
    """Block until the consumer has partitions."""
    eventually(lambda: metric(service, "orders_rebalances_total", kind="assigned") > 0, JOIN_SECONDS, "an assignment")
    return service


def rows(harness: Harness) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of all tables, each with the transaction that wrote it."""
    return {table: harness.query(f"SELECT t.*, xmin::text FROM {table} t ORDER BY 1, 2") for table in TABLES}  # noqa: S608


def uids(sent: Sequence[Sent]) -> set[str]:
    return {message.key.decode() for message in sent if message.key}


def spread(documents: Sequence[Document]) -> list[Sent]:
    return [message for number in range(PARTITIONS) for message in orders(documents[number::PARTITIONS], number)]


def ends(sent: Sequence[Sent]) -> dict[int, int]:
    """Return the offsets to be committed once all these messages, the topic's first, are processed."""
    partitions = [each.partition for each in sent]
    return {partition: partitions.count(partition) for partition in partitions}


def commit(harness: Harness, offsets: Mapping[int, int]) -> None:
    """Commit offsets for the group, which must have no members."""
    client = Consumer({"bootstrap.servers": harness.bootstrap_servers, "group.id": harness.topic})
    places = [TopicPartition(harness.topic, partition, offset) for partition, offset in offsets.items()]
    client.commit(offsets=places, asynchronous=False)
    client.close()


@contextmanager
def table_locked(harness: Harness) -> Iterator[None]:
    """Lock the table against writes within the block."""
    with psycopg.connect(harness.database) as connection:
        connection.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        yield


def wait_for_blocked_batch(harness: Harness) -> None:
    """Block until a transaction waits for the lock."""
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    eventually(lambda: harness.query(waiting), what="a batch waits for the lock")


# One order


def test_the_sample_is_stored_in_four_tables_and_served_within_a_second(harness: Harness) -> None:
    assigned(harness.consumer())
    api = harness.spawn("api", settings=harness.settings).ready()
    url = f"{api.url}/orders/{UID}"
    assert httpx2.get(url).status_code == 404
    producer = Producer({"bootstrap.servers": harness.bootstrap_servers})
    producer.produce(harness.topic, encode(SAMPLE), on_delivery=lambda *_: None)
    assert producer.flush(TIMEOUT_SECONDS) == 0
    produced_at = monotonic()
    eventually(lambda: httpx2.get(url).status_code == 200, what="200")
    assert monotonic() - produced_at < 1
    assert harness.query("SELECT id, order_uid FROM orders") == [(1, UID)]
    assert {table: [row[0] for row in found] for table, found in rows(harness).items()} == {
        table: [1] for table in TABLES
    }
    first, again = httpx2.get(url), httpx2.get(url)
    assert first.json() == SAMPLE
    assert again.content == first.content
    assert again.headers["etag"] == first.headers["etag"]
    unchanged = httpx2.get(url, headers={"if-none-match": first.headers["etag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")


def test_a_single_order_does_not_wait_for_a_full_batch(harness: Harness) -> None:
    assigned(harness.consumer())
    for number in range(1, 4):
        harness.produce(*orders([order_document()]))
        harness.wait_committed({0: number})
    delays = [delay for (delay,) in harness.query("SELECT stored_at - source_timestamp FROM orders")]
    assert min(delays) < timedelta(seconds=1)  # the best of three, to tolerate a slow machine


# A backlog


def test_a_backlog_is_stored_exactly_once_in_bounded_memory(harness: Harness) -> None:
    backlog = spread([order_document() for _ in range(BACKLOG)])
    harness.produce(*backlog)
    with table_locked(harness):
        service = harness.consumer()
        eventually(lambda: service.logged("fetching is paused"), JOIN_SECONDS, "fetching is paused")
    harness.wait_committed(ends(backlog), timeout_seconds=60)
    assert harness.stored() == uids(backlog)
    assert harness.query("SELECT count(*), count(DISTINCT order_id) FROM items") == [(BACKLOG, BACKLOG)]
    assert metric(service, "orders_stored_total") == metric(service, "orders_consumed_total") == BACKLOG
    eventually(lambda: samples(service, "orders_lag_messages") == [0] * PARTITIONS, what="no lag")
    assert service.peak_mib() < PEAK_MIB


def test_lag_is_reported_while_fetching_is_paused(harness: Harness) -> None:
    known, backlog, later = (
        [*spread([order_document() for _ in range(count)])] for count in (PARTITIONS, BACKLOG, 100)
    )
    harness.produce(*known)
    service = harness.consumer()
    eventually(lambda: samples(service, "orders_lag_messages") == [0] * PARTITIONS, JOIN_SECONDS, "a lag of 0")
    with table_locked(harness):
        harness.produce(*backlog)
        eventually(lambda: service.logged("fetching is paused"), JOIN_SECONDS, "fetching is paused")
        harness.produce(*later)
        behind = len(backlog) + len(later)
        eventually(
            lambda: metric(service, "orders_lag_messages") == behind, JOIN_SECONDS, "the lag includes later messages"
        )
        eventually(lambda: metric(service, "orders_paused_seconds_total") > 1, JOIN_SECONDS, "the pause is counted")
    eventually(lambda: samples(service, "orders_lag_messages") == [0] * PARTITIONS, JOIN_SECONDS, "no lag")


# Versions


OUTCOMES = ("stored", "replaced", "unchanged", "stale")


def version(uid: str, number: int, timestamp_ms: int, partition: int = 0) -> Sent:
    """Return a version of an order, with its number as `sm_id`."""
    return Sent(encode(order_document(order_uid=uid, sm_id=number)), uid.encode(), partition, timestamp_ms)


def one_batch(harness: Harness, earlier: Sequence[Sent], batch: Sequence[Sent]) -> dict[str, float]:
    """Process `batch` as one batch, and return what it added to the counters.

    An order before it waits for a lock until all of `batch` has been fetched.
    """
    before = [*earlier, *(version(f"first-{number}", 0, 1, number) for number in range(PARTITIONS))]
    blocked = version("blocked-0", 0, 1)
    harness.produce(*before)
    service = harness.consumer()
    eventually(lambda: samples(service, "orders_lag_messages") == [0] * PARTITIONS, JOIN_SECONDS, "a lag of 0")
    harness.wait_committed(ends(before))
    began = counted(service)
    with table_locked(harness):
        harness.produce(blocked)
        wait_for_blocked_batch(harness)
        harness.produce(*batch)
        eventually(lambda: metric(service, "orders_lag_messages") == 1 + len(batch), what="the batch is fetched")
    harness.wait_committed(ends([*before, blocked, *batch]))
    added = {name: count - began[name] for name, count in counted(service).items()}
    assert added.pop("batches") == 2
    assert added.pop("consumed") == 1 + len(batch)
    return added | {"stored": added["stored"] - 1}


def counted(service: Service) -> dict[str, float]:
    batches = metric(service, "orders_batch_messages_count")
    return {"batches": batches} | {name: metric(service, f"orders_{name}_total") for name in ("consumed", *OUTCOMES)}


def stored_versions(harness: Harness) -> dict[str, int]:
    return dict(harness.query("SELECT order_uid, sm_id FROM orders WHERE order_uid !~ '^(first|blocked)-'"))


def test_the_greatest_version_in_a_batch_is_stored_and_each_version_counted_once(harness: Harness) -> None:
    earlier = [version("replaced", 0, 1_000), version("older", 0, 5_000), version("same", 0, 1_000)]
    batch = [
        *(version("newest", 1, 3_000, 0), version("newest", 2, 4_000, 2), version("newest", 3, 3_500, 1)),
        *(version("by-partition", 1, 3_000, 2), version("by-partition", 2, 3_000, 1)),
        *(version("by-offset", 1, 3_000), version("by-offset", 2, 3_000)),
        *(version("twice", 0, 3_000), version("twice", 0, 3_000)),
        *(version("replaced", 1, 2_000), version("older", 1, 2_000), version("same", 0, 2_000)),
    ]
    assert one_batch(harness, earlier, batch) == {"stored": 4, "replaced": 1, "unchanged": 2, "stale": 5}
    assert stored_versions(harness) == {
        "newest": 2, "by-partition": 1, "by-offset": 2, "twice": 0, "replaced": 1, "older": 0, "same": 0,
    }  # fmt: skip


def test_the_greatest_of_hundreds_of_versions_in_random_order_is_stored(harness: Harness) -> None:
    chance = Random(5)  # noqa: S311 - the same in every run
    sent = [
        version(f"o{chance.randrange(20)}", number, chance.randrange(1, 6) * 1_000, chance.randrange(PARTITIONS))
        for number in range(400)
    ]
    earlier, batch = sent[:100], sent[100:]
    assert sum(one_batch(harness, earlier, batch).values()) == len(batch)
    greatest = {
        each.key: number
        for number, each in sorted(
            enumerate(sent), key=lambda place: (place[1].timestamp_ms, place[1].partition, place[0])
        )
    }
    assert stored_versions(harness) == {(key or b"").decode(): number for key, number in greatest.items()}


# Redelivery


def test_null_in_an_optional_field_is_stored_and_served_as_absent(harness: Harness) -> None:
    bare = order_document()
    del bare["internal_signature"], bare["payment"]["request_id"]
    with_nulls = bare | {"internal_signature": None, "payment": bare["payment"] | {"request_id": None}}
    filled = order_document(internal_signature="s", payment={"request_id": "r"})
    emptied = filled | {"internal_signature": None, "payment": filled["payment"] | {"request_id": ""}}
    harness.produce(*orders([with_nulls, filled]))
    consumer = harness.consumer()
    harness.wait_committed({0: 2})
    harness.produce(*orders([bare, emptied]))
    harness.wait_committed({0: 4})
    assert [metric(consumer, f"orders_{name}_total") for name in ("stored", "unchanged", "replaced")] == [2, 1, 1]
    assert harness.dead_letters() == []
    api = harness.spawn("api", settings=harness.settings).ready()
    del emptied["internal_signature"]
    responses = [httpx2.get(f"{api.url}/orders/{each['order_uid']}").json() for each in (bare, emptied)]
    assert responses == [bare, emptied]


def test_a_redelivery_changes_nothing(harness: Harness) -> None:
    sent = spread([order_document() for _ in range(300)])
    harness.produce(*sent)
    first = harness.consumer()
    harness.wait_committed(ends(sent))
    assert first.stop() == 0
    before = rows(harness)
    commit(harness, dict.fromkeys(range(PARTITIONS), 0))
    second = harness.consumer()
    harness.wait_committed(ends(sent))
    assert metric(second, "orders_unchanged_total") == metric(second, "orders_consumed_total") == len(sent)
    assert rows(harness) == before
    assert harness.dead_letters() == []


def test_a_replayed_dead_letter_keeps_its_version_and_overwrites_nothing_newer(harness: Harness) -> None:
    harness.query("ALTER TABLE orders ADD CONSTRAINT not_yet CHECK (sm_id <> 13)")
    rejected = [version("overtaken", 13, 1_700_000_000_000), version("alone", 13, 1_700_000_000_001)]
    harness.produce(*rejected, version("overtaken", 14, 1_700_000_000_002))
    service = harness.consumer()
    harness.wait_committed({0: 3})
    assert stored_versions(harness) == {"overtaken": 14}
    harness.query("ALTER TABLE orders DROP CONSTRAINT not_yet")
    assert harness.spawn("dlq", "replay", settings=harness.settings).process.wait(30) == 0
    harness.wait_committed({0: 5})
    assert stored_versions(harness) == {"overtaken": 14, "alone": 13}
    assert metric(service, "orders_stale_total") == 1
    source = "source_partition, source_offset, extract(epoch FROM source_timestamp) * 1000"
    assert harness.query(f"SELECT {source} FROM orders WHERE order_uid = 'alone'") == [(0, 1, 1_700_000_000_001)]  # noqa: S608


# SIGTERM


@PROTOCOLS
def test_a_stopped_consumer_has_committed_exactly_what_it_has_processed(harness: Harness, protocol: str) -> None:
    sent = spread([order_document(**({"sm_id": -1} if number % 10 == 0 else {})) for number in range(3_000)])
    harness.produce(*sent)
    service = harness.consumer(ORDERS_KAFKA__GROUP_PROTOCOL=protocol, ORDERS_BATCH__MAX_MESSAGES="10")
    eventually(harness.stored, JOIN_SECONDS, "orders are stored")
    assert service.stop() == 0
    assert 0 < len(processed(harness)) < len(sent)
    assert processed(harness) == up_to(harness.committed())
    harness.consumer(ORDERS_KAFKA__GROUP_PROTOCOL=protocol)
    harness.wait_committed(ends(sent))
    assert processed(harness) == up_to(ends(sent))
    assert len(harness.dead_letters()) == 300


def processed(harness: Harness) -> list[tuple[int, int]]:
    """Return partition and offset of each stored order and each dead letter."""
    stored = harness.query("SELECT source_partition, source_offset FROM orders")
    origins = [read_origin(headers(dead_letter)) for dead_letter in harness.dead_letters()]
    return sorted([*stored, *((origin.partition, origin.offset) for origin in origins if origin)])


def up_to(offsets: Mapping[int, int]) -> list[tuple[int, int]]:
    return [(partition, offset) for partition in sorted(offsets) for offset in range(offsets[partition])]


def test_sigterm_waits_for_the_running_transaction_and_commits_its_offsets(harness: Harness) -> None:
    service = assigned(
        harness.consumer(ORDERS_REBALANCE__REVOKE_TIMEOUT="100ms")
    )  # otherwise the revocation would wait for it too
    with table_locked(harness):
        harness.produce(*orders([order_document()]))
        wait_for_blocked_batch(harness)
        with pytest.raises(TimeoutExpired):
            service.stop(within=2.5)
    assert service.process.wait(DRAIN_TIMEOUT_SECONDS) == 0
    assert len(harness.stored()) == 1
    assert harness.committed() == {0: 1}


# Members that join and leave


@contextmanager
def load(harness: Harness) -> Iterator[None]:
    """Produce 300 orders a second within the block."""
    generator = harness.spawn("generate", "--count", "0", "--rate", "300", settings=harness.settings)
    yield
    assert generator.stop() == 0, generator.tail()


def wait_storing(service: Service) -> None:
    eventually(lambda: metric(service, "orders_stored_total") > 0, JOIN_SECONDS, "the member stores orders")


def assert_exact(harness: Harness) -> None:
    """Assert that each order of the topic is stored completely and once, and none is a dead letter."""
    sent = [decode(message.value() or b"") for message in harness.messages(harness.topic)]
    harness.wait_stored({document["order_uid"] for document in sent})
    items = sum(len(document["items"]) for document in sent)
    assert {table: len(found) for table, found in rows(harness).items()} == dict.fromkeys(TABLES, len(sent)) | {
        "items": items
    }
    assert harness.dead_letters() == []


@PROTOCOLS
def test_a_member_that_joins_and_leaves_under_load_loses_and_repeats_nothing(harness: Harness, protocol: str) -> None:
    first = assigned(harness.consumer(ORDERS_KAFKA__GROUP_PROTOCOL=protocol))
    with load(harness):
        second = harness.consumer(ORDERS_KAFKA__GROUP_PROTOCOL=protocol)
        wait_storing(second)
        wait_storing(first)
        assert metric(second, "orders_unchanged_total") == 0
        assert second.stop() == 0
    assert_exact(harness)
    assert metric(first, "orders_unchanged_total") == 0


def test_orders_are_stored_once_while_members_are_killed_join_and_leave(harness: Harness) -> None:
    first, killed = assigned(harness.consumer()), assigned(harness.consumer())
    with load(harness):
        wait_storing(first)
        wait_storing(killed)
        killed.kill()
        third = harness.consumer()
        wait_storing(third)
        assert third.stop() == 0
    assert_exact(harness)


# Offsets outside the topic


def test_records_deleted_before_they_are_read_are_counted_and_skipped(harness: Harness) -> None:
    sent = orders([order_document() for _ in range(20)])
    harness.produce(*sent)
    commit(harness, {0: 4})
    delete_before(harness, 15)
    service = harness.consumer()
    harness.wait_committed({0: 20})
    assert harness.stored() == uids(sent[15:])
    assert metric(service, "orders_offsets_skipped_total") == 11
    assert_logged(service, offset=4, earliest=15, end=20, skipped=11)


def test_a_committed_offset_beyond_the_end_is_counted_and_the_topic_is_read_from_the_start(harness: Harness) -> None:
    sent = orders([order_document() for _ in range(20)])
    harness.produce(*sent)
    commit(harness, {0: 31})
    service = harness.consumer()
    harness.wait_stored(uids(sent))
    harness.wait_committed({0: 20})
    assert metric(service, "orders_offsets_skipped_total") == 11
    assert_logged(service, offset=31, earliest=0, end=20, skipped=11)


def delete_before(harness: Harness, offset: int) -> None:
    admin = harness.admin()
    place = TopicPartition(harness.topic, 0, offset)
    admin.delete_records([place])[place].result(TIMEOUT_SECONDS)


def assert_logged(service: Service, **fields: int) -> None:
    (event,) = service.logged("the offset is no longer in the topic")
    assert event.items() >= ({"partition": 0, "level": "error"} | fields).items()


def test_partitions_with_offsets_in_an_open_transaction_are_logged_and_read_when_it_ends(harness: Harness) -> None:
    sent = orders([order_document()])
    harness.produce(*sent)
    with transaction_with_offsets(harness):
        service = harness.consumer()
        events = eventually(lambda: service.logged("a transaction holds them"), 30)
        assert events[0]["partitions"] == [*range(PARTITIONS)]
        assert harness.stored() == set()
    harness.wait_stored(uids(sent))


@contextmanager
def transaction_with_offsets(harness: Harness) -> Iterator[None]:
    """Keep offsets of the group in an open transaction within the block, then abort it."""
    servers = {"bootstrap.servers": harness.bootstrap_servers}
    producer = Producer({**servers, "transactional.id": harness.topic})
    member = Consumer({**servers, "group.id": harness.topic})
    producer.init_transactions(JOIN_SECONDS)
    producer.begin_transaction()
    producer.send_offsets_to_transaction(
        [TopicPartition(harness.topic, 0, 0)], member.consumer_group_metadata(), JOIN_SECONDS
    )
    try:
        yield
    finally:
        producer.abort_transaction(JOIN_SECONDS)
        member.close()


# A topic that is created later


@PROTOCOLS
def test_a_topic_created_after_the_consumer_started_is_read_without_a_restart(harness: Harness, protocol: str) -> None:
    admin = harness.admin()
    admin.delete_topics([harness.topic])[harness.topic].result(TIMEOUT_SECONDS)
    eventually(
        lambda: harness.topic not in admin.list_topics(timeout=TIMEOUT_SECONDS).topics, what="the topic is deleted"
    )
    service = harness.consumer(ORDERS_KAFKA__GROUP_PROTOCOL=protocol)
    eventually(lambda: service.logged("the topic does not exist"), what="the missing topic is logged")
    assert service.logged("the topic does not exist")[0]["topic"] == harness.topic
    admin.create_topics([NewTopic(harness.topic, PARTITIONS, 1)])[harness.topic].result(TIMEOUT_SECONDS)
    sent = spread([order_document() for _ in range(9)])
    harness.produce(*sent)
    harness.wait_stored(uids(sent), JOIN_SECONDS)
    harness.wait_committed(ends(sent))
    assert service.ready(within=1).stop() == 0
