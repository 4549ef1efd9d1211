"""Dead letters in a topic, and `orders dlq` in this process."""

import argparse
from typing import NamedTuple

from confluent_kafka import Producer

from service.app.commands.dlq import command as commands
from service.config import KafkaSettings, Settings
from service.entities.dead_letter_headers import Header, Headers
from service.handler.kafka.client import properties
from service.pkg.shutdown_event import ShutdownEvent

ORIGIN_MS = 1_700_000_000_000
FAR = 10.0


class Sent(NamedTuple):
    key: bytes | None
    value: bytes | None
    headers: Headers


def dlq(kafka: KafkaSettings, *arguments: str, stop: ShutdownEvent | None = None) -> int:
    """Run `orders dlq ARGUMENTS` in this process and return its exit code."""
    parser = argparse.ArgumentParser()
    commands.add_arguments(parser)
    return commands.run(parser.parse_args(arguments), Settings(kafka=kafka), stop or ShutdownEvent())


def dead_letter(
    kafka: KafkaSettings,
    number: int,
    *,
    reason: str = "invalid",
    replays: int = 0,
    changes: dict[str, bytes | None] | None = None,
) -> Sent:
    headers: dict[str, bytes | None] = {
        Header.REASON: reason.encode(),
        Header.DETAIL: b"items[0].price: expected `int`",
        Header.TOPIC: kafka.topic.encode(),
        Header.PARTITION: str(number % 3).encode(),
        Header.OFFSET: str(100 + number).encode(),
        Header.TIMESTAMP: str(ORIGIN_MS + number).encode(),
        Header.FAILED_AT: b"2026-11-23T10:00:00.000Z",
        Header.REPLAYS: str(replays).encode(),
    }
    headers.update(changes or {})
    original: Headers = [("traceparent", b"00-ab"), ("twice", b"1"), ("twice", b"\xff\x00"), ("null", None)]
    kept: Headers = [(name, value) for name, value in headers.items() if value is not None]
    return Sent(f"key-{number}".encode(), b"\x00\xffvalue-%d" % number, [*original, *kept])


def produce(kafka: KafkaSettings, *dead_letters: Sent, partition: int = 0, timestamp_ms: int = 0) -> None:
    # An idempotent one first waits half a second for its id.
    producer = Producer(properties.producer(kafka) | {"enable.idempotence": False})
    for each in dead_letters:
        producer.produce(
            kafka.dead_letter_topic, each.value, each.key, partition, headers=[*each.headers], timestamp=timestamp_ms
        )
    assert producer.flush(FAR) == 0
