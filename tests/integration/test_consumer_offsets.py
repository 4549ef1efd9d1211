"""A consumer starts at the offsets of its group, wherever they are, and waits for a topic that is missing."""

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.cimpl import NewTopic

from tests.kit.consumers import JOIN_SECONDS, PROTOCOLS, commit, ends, spread, uids
from tests.kit.factories import order_document
from tests.kit.harness import TIMEOUT_SECONDS, Harness, metric, orders
from tests.kit.processes import Service
from tests.kit.temporary import PARTITIONS
from tests.kit.waiting import eventually

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


# Offsets in a transaction


def test_partitions_with_offsets_in_an_open_transaction_are_logged_and_read_when_it_ends(harness: Harness) -> None:
    sent = orders([order_document()])
    harness.produce(*sent)
    with transaction_with_offsets(harness):
        service = harness.consumer()
        events = eventually(lambda: service.logged("a transaction holds them"), 30)
        assert events[0]["partitions"] == [f"{harness.topic}-{number}" for number in range(PARTITIONS)]
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
