"""Reads the actual result of a run: rows of the tables, messages of the dead-letter topic, lag of the group."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, LiteralString, NamedTuple

import psycopg
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from service.errors import CommandFailed
from service.handler.kafka.client import error_codes
from service.handler.kafka.client.error_phrases import phrase, topic_problem
from service.handler.kafka.client.offset_queries import committed_offsets
from service.handler.kafka.client.properties import verified
from service.repo.conninfo import Conninfo
from service.repo.translate import translate

RESPONSE_TIMEOUT_SECONDS: Final = 10.0
FETCH_ROWS: Final = 2_000

# Independent of the API's statement, which is itself under test. Reads every column, so an unexpected one is noticed.
STORED_ORDERS: Final[LiteralString] = """
SELECT o.order_uid,
       jsonb_strip_nulls(
           to_jsonb(o) - '{id,shard,source_topic,source_partition,source_offset,source_timestamp,stored_at}'::text[]
           || jsonb_build_object(
               'delivery', to_jsonb(d) - '{order_id,shard}'::text[],
               'payment', to_jsonb(p) - '{order_id,shard}'::text[],
               'items', (SELECT jsonb_agg(to_jsonb(i) - '{order_id,position,shard}'::text[] ORDER BY i.position)
                           FROM items i WHERE i.order_id = o.id)))
  FROM orders o LEFT JOIN deliveries d ON d.order_id = o.id LEFT JOIN payments p ON p.order_id = o.id
"""


class GroupProgress(NamedTuple):
    """The number of messages in the topic, and the lag of the group."""

    produced: int
    lag: int


def stored_orders(conninfo: Conninfo) -> Iterator[tuple[str, Any]]:
    """Yield each row of `orders` with its children as a document, from one snapshot. Raises CommandFailed."""
    yield from rows(conninfo, STORED_ORDERS)


def rows(conninfo: Conninfo, statement: LiteralString) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a statement, fetched in chunks. Raises CommandFailed."""
    try:
        with psycopg.connect(conninfo.resolve()) as connection, connection.cursor("orders_check") as cursor:
            connection.execute("SET LOCAL cursor_tuple_fraction = 1")  # plan for reading all rows
            cursor.itersize = FETCH_ROWS
            yield from cursor.execute(statement)
    except psycopg.Error as error:
        raise CommandFailed(f"cannot read from PostgreSQL: {translate(error)}") from None


def open_consumer(bootstrap_servers: str, group_id: str, properties: Mapping[str, Any]) -> Consumer:
    """Return a consumer with this group id that never joins the group and never commits."""
    required = {
        "bootstrap.servers": bootstrap_servers,
        "group.id": group_id,
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "fetch.message.max.bytes": 16 * 2**20,
        "fetch.wait.max.ms": 10,  # the delay of end-of-partition events; 500 by default
        "fetch.queue.backoff.ms": 20,  # the delay before a full queue is refilled; 1 s by default
    }
    with verified(properties):
        return Consumer({"log_level": 2} | dict(properties) | required)


def progress(consumer: Consumer, topic: str) -> GroupProgress:
    """Compare the group's offsets with the ends of the topic's partitions. Raises CommandFailed."""
    try:
        committed = committed_offsets(consumer, _partitions(consumer, topic), RESPONSE_TIMEOUT_SECONDS)
        ends = [consumer.get_watermark_offsets(partition, timeout=RESPONSE_TIMEOUT_SECONDS) for partition in committed]
    except KafkaException as error:
        raise CommandFailed(f"Kafka: {phrase(error.args[0])}") from error
    positions = [max(partition.offset, low) for partition, (low, _) in zip(committed, ends, strict=True)]
    produced = sum(high for _, high in ends)
    return GroupProgress(produced, produced - sum(positions))


def messages(consumer: Consumer, topic: str) -> Iterator[Message]:
    """Yield all messages of the topic, in no order across partitions. Raises CommandFailed."""
    partitions = _partitions(consumer, topic)
    consumer.assign(partitions)
    unread = {partition.partition for partition in partitions}
    while unread:
        message = consumer.poll(RESPONSE_TIMEOUT_SECONDS)
        if message is None:
            raise CommandFailed(
                f"reading from Kafka timed out: no message from {topic} for {RESPONSE_TIMEOUT_SECONDS:.0f} s"
            )
        if message.error() is None:
            yield message
        else:
            unread.discard(_partition_at_end(message))


def _partition_at_end(message: Message) -> int | None:
    """Return the partition of an end-of-partition event. Raises CommandFailed for an error."""
    error = message.error()
    if error is not None and error.code() == error_codes.PARTITION_EOF:
        return message.partition()
    raise CommandFailed(f"Kafka: {phrase(error) if error else 'no message'}")


def _partitions(consumer: Consumer, topic: str) -> list[TopicPartition]:
    try:
        known = consumer.list_topics(topic, timeout=RESPONSE_TIMEOUT_SECONDS).topics[topic]
    except KafkaException as error:
        raise CommandFailed(f"Kafka: {phrase(error.args[0])}") from error
    if known.error is not None:
        raise CommandFailed(topic_problem("read", topic, known.error))
    return [TopicPartition(topic, number, OFFSET_BEGINNING) for number in known.partitions]
