"""Baseline for consuming: reads messages and drops them. `python -m bench.baselines.consume_only TOPIC COUNT`."""

import sys
from contextlib import closing
from time import monotonic, process_time
from typing import Final

from confluent_kafka import Consumer, TopicPartition

from bench.ingest_result import IngestResult
from service import config
from service.pkg.output import echo

_MAX_MESSAGES: Final = 2_000
_TIMEOUT_SECONDS: Final = 10.0


def main() -> None:
    """Print an IngestResult from the first chunk of messages to the last, as one line of JSON."""
    topic, count = sys.argv[1], int(sys.argv[2])
    with closing(Consumer(_properties(config.load().kafka))) as consumer:
        partitions = consumer.list_topics(topic, timeout=_TIMEOUT_SECONDS).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        cpu = process_time()
        first = left = count - len(consumer.consume(_MAX_MESSAGES, _TIMEOUT_SECONDS))
        started_at = monotonic()
        while left > 0 and (messages := consumer.consume(min(_MAX_MESSAGES, left), _TIMEOUT_SECONDS)):
            left -= len(messages)
        echo(IngestResult(first - left, monotonic() - started_at, count - left, process_time() - cpu).to_json())


def _properties(kafka: config.KafkaSettings) -> dict[str, str | int | bool]:
    return {
        "bootstrap.servers": kafka.bootstrap_servers,
        "group.id": "orders-bench",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "queued.max.messages.kbytes": kafka.prefetch // 1024,  # like the next property, as in the consumer
        "fetch.queue.backoff.ms": 20,
    }


if __name__ == "__main__":
    main()
