"""The harness: a topic, its dead-letter topic, a database, and the consumers between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.request import urlopen

import httpx2
import psycopg
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from msgspec.json import encode
from prometheus_client.parser import text_string_to_metric_families

from service.entities.dead_letter_headers import Header, Headers
from tests.kit.factories import Document
from tests.kit.processes import Service, Spawn
from tests.kit.temporary import PARTITIONS, configure_topic
from tests.kit.waiting import eventually

TIMEOUT_SECONDS = 10.0
MAX_STALE_SECONDS = 1.5  # the guarantee is a second; a busy machine may add a half
"""How long an API may serve an order after it was changed or deleted."""


class Sent(NamedTuple):
    """A record to produce; timestamp 0 is the time of sending."""

    value: bytes | None
    key: bytes | None = None
    partition: int = 0
    timestamp_ms: int = 0
    headers: Headers = []  # noqa: RUF012 - never changed


def orders(documents: Sequence[Document], partition: int = 0) -> list[Sent]:
    return [Sent(encode(document), document["order_uid"].encode(), partition) for document in documents]


@dataclass(frozen=True)
class Harness:
    bootstrap_servers: str
    topic: str
    database: str
    settings: Mapping[str, str]
    spawn: Spawn

    @property
    def dead_letter_topic(self) -> str:
        return self.settings["ORDERS_KAFKA__DEAD_LETTER_TOPIC"]

    def consumer(self, **variables: str) -> Service:
        """Start a consumer with the harness's settings and `variables`, and wait until it is ready."""
        return self.spawn("consumer", settings={**self.settings, **variables}).ready()

    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap_servers})

    def produce(self, *records: Sent) -> None:
        """Produce the records in this order and block until all are acknowledged."""
        self.produce_to(self.topic, *records)

    def produce_dead_letter(self, document: Document, offset: int) -> None:
        """Produce a dead letter of this order, which was at that offset of partition 0 of the order topic."""
        origin = {Header.TOPIC: self.topic, Header.PARTITION: "0", Header.OFFSET: str(offset), Header.TIMESTAMP: "9"}
        headers: Headers = [(name, value.encode()) for name, value in {Header.REASON: "rejected", **origin}.items()]
        self.produce_to(self.dead_letter_topic, *(each._replace(headers=headers) for each in orders([document])))

    def produce_to(self, topic: str, *records: Sent) -> None:
        producer = Producer({
            "bootstrap.servers": self.bootstrap_servers, "message.max.bytes": 10**8, "compression.type": "lz4",
            "max.in.flight": 1,  # keeps the order; an idempotent producer would first need half a second for its id
        })  # fmt: skip
        failures: list[KafkaError] = []

        def report(error: KafkaError | None, _: object) -> None:
            failures.extend([error] if error else [])

        for record in records:
            producer.produce(
                topic, record.value, record.key, record.partition, timestamp=record.timestamp_ms,
                headers=[*record.headers], on_delivery=report,
            )  # fmt: skip
            producer.poll(0)
        assert producer.flush(TIMEOUT_SECONDS) == 0
        assert failures == []

    def dead_letters(self) -> list[Message]:
        return self.messages(self.dead_letter_topic)

    def messages(self, topic: str) -> list[Message]:
        """Return every message of a topic."""
        reader = Consumer({
            "bootstrap.servers": self.bootstrap_servers, "group.id": "reader", "enable.partition.eof": True,
            "enable.auto.commit": False, "fetch.wait.max.ms": 10,  # delays the end of a partition
        })  # fmt: skip
        reader.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
        found, ended = list[Message](), 0
        while ended < PARTITIONS:
            message = reader.poll(TIMEOUT_SECONDS)
            assert message is not None
            ended += message.error() is not None
            found += [message] if message.error() is None else []
        reader.close()
        return found

    def output_of(self, *arguments: str) -> str:
        """Run a command as a separate process, which must succeed, and return its output."""
        command = self.spawn(*arguments, settings=self.settings)
        assert command.process.wait(60) == 0, command.tail()
        return command.tail()

    def committed(self) -> dict[int, int]:
        """Return the group's committed offsets by partition."""
        reader = Consumer({"bootstrap.servers": self.bootstrap_servers, "group.id": self.topic})
        places = [TopicPartition(self.topic, number) for number in range(PARTITIONS)]
        offsets = {place.partition: place.offset for place in reader.committed(places, timeout=TIMEOUT_SECONDS)}
        reader.close()
        return {partition: offset for partition, offset in offsets.items() if offset >= 0}

    def wait_committed(self, offsets: dict[int, int], timeout_seconds: float = 30.0) -> None:
        eventually(lambda: self.committed() == offsets, timeout_seconds, f"offsets {offsets} are committed")

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def stored(self) -> set[str]:
        return {uid for (uid,) in self.query("SELECT order_uid FROM orders")}

    def wait_stored(self, uids: set[str], timeout_seconds: float = 30.0) -> None:
        eventually(lambda: self.stored() == uids, timeout_seconds, f"{len(uids)} orders are stored")

    def configure(self, topic: str, **config: object) -> None:
        """Set properties of a topic: `cleanup_policy` is `cleanup.policy`."""
        dotted = {name.replace("_", "."): value for name, value in config.items()}
        configure_topic(self.bootstrap_servers, topic, dotted)


def order_status(api: Service, uid: str) -> int:
    """Return the HTTP status of a request for this order."""
    return httpx2.get(f"{api.url}/orders/{uid}").status_code


def metric(service: Service, name: str, **labels: str) -> float:
    """Return the sum of all samples with this name and these labels; 0 if there is none."""
    return sum(samples(service, name, **labels))


def samples(service: Service, name: str, **labels: str) -> list[float]:
    with urlopen(f"http://127.0.0.1:{service.admin_port}/metrics", timeout=TIMEOUT_SECONDS) as response:
        families = text_string_to_metric_families(response.read().decode())
    found = [sample for family in families for sample in family.samples]
    return [each.value for each in found if each.name == name and labels.items() <= each.labels.items()]


def headers(message: Message) -> Headers:
    return [*(message.headers() or [])]
