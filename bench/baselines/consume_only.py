"""Consumption alone: messages are read and dropped. `python -m bench.baselines.consume_only TOPIC COUNT`."""

import sys
from contextlib import closing
from time import monotonic, process_time
from typing import Final

from confluent_kafka import Consumer, TopicPartition

from bench.pace import Pace
from service import config
from service.pkg.output import echo

_AT_ONCE: Final = 2_000
_WAIT_SECONDS: Final = 10.0


def main() -> None:
    """Tell the pace between the first messages and the last, as one line of JSON."""
    topic, count = sys.argv[1], int(sys.argv[2])
    with closing(Consumer(_properties(config.load().kafka))) as consumer:
        partitions = consumer.list_topics(topic).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        cpu = process_time()
        first = left = count - len(consumer.consume(_AT_ONCE, _WAIT_SECONDS))
        began = monotonic()
        while left > 0 and (messages := consumer.consume(min(_AT_ONCE, left), _WAIT_SECONDS)):
            left -= len(messages)
        echo(Pace(first - left, monotonic() - began, count - left, process_time() - cpu).line())


def _properties(kafka: config.Kafka) -> dict[str, str | int | bool]:
    return {
        "bootstrap.servers": kafka.bootstrap_servers,
        "group.id": "orders-bench",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "queued.max.messages.kbytes": kafka.prefetch // 1024,  # as our consumer has it, like the next one
        "fetch.queue.backoff.ms": 20,
    }


if __name__ == "__main__":
    main()
