"""What has become of a stream: the tables' rows, the dead-letter topic's messages, the consumer group's lag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, LiteralString, NamedTuple

import psycopg
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from service.handler.kafka.client.error_phrases import phrase

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from confluent_kafka import Message

ANSWER_WITHIN_S: Final = 10.0
ROWS_AT_ONCE: Final = 2_000

# Written anew instead of taken from the API, whose statement is one of the things to be checked. A column that belongs
# in no document would show as a wrong version of every order.
STORED_ORDERS: Final[LiteralString] = """
SELECT o.order_uid,
       jsonb_strip_nulls(
           to_jsonb(o) - '{source_topic,source_partition,source_offset,source_timestamp,stored_at}'::text[]
           || jsonb_build_object(
               'delivery', to_jsonb(d) - 'order_uid',
               'payment', to_jsonb(p) - 'order_uid',
               'items', (SELECT jsonb_agg(to_jsonb(i) - '{order_uid,position}'::text[] ORDER BY i.position)
                           FROM items i WHERE i.order_uid = o.order_uid)))
  FROM orders o LEFT JOIN deliveries d USING (order_uid) LEFT JOIN payments p USING (order_uid)
"""


class Unanswered(Exception):
    """Kafka or PostgreSQL did not tell what is stored; the text has no value and no secret."""


class GroupProgress(NamedTuple):
    """Messages that the topic was given, and how many of them the group has yet to finish."""

    produced: int
    lag: int


def stored_orders(dsn: str) -> Iterator[tuple[str, Any]]:
    """Yield each row of `orders` with its children as a document, from one snapshot. Raises Unanswered."""
    yield from rows(dsn, STORED_ORDERS)


def rows(dsn: str, statement: LiteralString) -> Iterator[tuple[Any, ...]]:
    """Yield all that a statement returns, a few thousand rows at a time. Raises Unanswered."""
    try:
        with psycopg.connect(dsn) as connection, connection.cursor("orders_check") as cursor:
            connection.execute("SET LOCAL cursor_tuple_fraction = 1")  # else it is planned for the first rows
            cursor.itersize = ROWS_AT_ONCE
            yield from cursor.execute(statement)
    except psycopg.Error as error:
        raise Unanswered(f"PostgreSQL: {type(error).__name__} {error.sqlstate or ''}".strip()) from None


def open_consumer(bootstrap_servers: str, group_id: str, properties: Mapping[str, Any]) -> Consumer:
    """Return a consumer that reads as `group_id` without ever joining it or moving its offsets."""
    ours = {
        "bootstrap.servers": bootstrap_servers,
        "group.id": group_id,
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "fetch.message.max.bytes": 16 * 2**20,
        "fetch.wait.max.ms": 10,  # after which it says that a partition has ended; 500 by default
        "fetch.queue.backoff.ms": 20,  # how long a full queue then stands empty; 1 s by default
    }
    return Consumer({"log_level": 2} | dict(properties) | ours)


def progress(consumer: Consumer, topic: str) -> GroupProgress:
    """Compare the group's offsets with the ends of the topic's partitions. Raises Unanswered."""
    try:
        committed = consumer.committed(_partitions(consumer, topic), timeout=ANSWER_WITHIN_S)
        ends = [consumer.get_watermark_offsets(partition, timeout=ANSWER_WITHIN_S) for partition in committed]
    except KafkaException as error:
        raise Unanswered(f"Kafka: {phrase(error.args[0])}") from error
    done = [max(partition.offset, low) for partition, (low, _) in zip(committed, ends, strict=True)]
    produced = sum(high for _, high in ends)
    return GroupProgress(produced, produced - sum(done))


def messages(consumer: Consumer, topic: str) -> Iterator[Message]:
    """Yield what the topic holds now, partition by partition or mixed. Raises Unanswered."""
    partitions = _partitions(consumer, topic)
    consumer.assign(partitions)
    unread = {partition.partition for partition in partitions}
    while unread:
        message = consumer.poll(ANSWER_WITHIN_S)
        if message is None:
            raise Unanswered(f"Kafka: nothing came from {topic} for {ANSWER_WITHIN_S:.0f} s")
        if message.error() is None:
            yield message
        else:
            unread.discard(_ended(message))


def _ended(message: Message) -> int | None:
    """Return the partition whose end was reached."""
    error = message.error()
    if error is not None and error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
        return message.partition()
    raise Unanswered(f"Kafka: {phrase(error) if error else 'no message'}")


def _partitions(consumer: Consumer, topic: str) -> list[TopicPartition]:
    try:
        known = consumer.list_topics(topic, timeout=ANSWER_WITHIN_S).topics[topic]
    except KafkaException as error:
        raise Unanswered(f"Kafka: {phrase(error.args[0])}") from error
    if known.error is not None:
        raise Unanswered(f"cannot read topic {topic}: {phrase(known.error)}; `orders migrate` creates topics")
    return [TopicPartition(topic, number, OFFSET_BEGINNING) for number in known.partitions]
