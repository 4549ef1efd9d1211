"""`orders check` on real tables and topics, filled as by a correct consumer and then corrupted."""

import argparse
import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import LiteralString

import psycopg
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from psycopg.types.json import Jsonb

from generator import check
from generator.produce import RateLimiter, open_producer, produce
from generator.stream import UPDATE, VALID, Message, Plan, stream
from generator.verify import verify
from service.config import KafkaSettings, PostgresSettings, Settings
from service.entities.dead_letter_headers import Header
from service.errors import CommandFailed
from service.pkg.shutdown_event import ShutdownEvent
from service.repo.conninfo import Conninfo
from service.repo.shards import shard_of
from tests.kit.servers import Kafka

UNTIL = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
PLAN = Plan(count=300, seed=5, invalid=0.2, duplicates=0.1, stale=0.1, updates=0.1, tombstones=0.05, until=UNTIL)
OPTIONS = shlex.split("--count 300 --seed 5 --invalid .2 --duplicates .1 --stale .1 --updates .1 --tombstones .05")
KAFKA_TIMEOUT_SECONDS = 30.0

# Missing optional fields stay NULL, which distinguishes absent from empty.
INSERTS = (
    """INSERT INTO orders SELECT (jsonb_populate_record(NULL::orders, %(order)s || %(key)s || jsonb_build_object(
       'id', %(key)s->'order_id', 'source_topic', 't', 'source_partition', 0, 'source_offset', 0,
       'source_timestamp', now(), 'stored_at', now())
       )).*""",
    "INSERT INTO deliveries SELECT (jsonb_populate_record(NULL::deliveries, %(order)s->'delivery' || %(key)s)).*",
    "INSERT INTO payments SELECT (jsonb_populate_record(NULL::payments, %(order)s->'payment' || %(key)s)).*",
    """INSERT INTO items SELECT (jsonb_populate_record(NULL::items,
       item || %(key)s || jsonb_build_object('position', place - 1))).*
       FROM jsonb_array_elements(%(order)s->'items') WITH ORDINALITY AS each(item, place)""",
)


@dataclass(frozen=True)
class Harness:
    """The topic and database of one test; the group has the topic's name."""

    bootstrap_servers: str
    topic: str
    dsn: str

    @property
    def dead_letter_topic(self) -> str:
        return f"{self.topic}.dlq"

    @property
    def settings(self) -> Settings:
        kafka = KafkaSettings(
            bootstrap_servers=self.bootstrap_servers,
            topic=self.topic,
            dead_letter_topic=self.dead_letter_topic,
            group_id=self.topic,
        )
        return Settings(kafka=kafka, postgres=PostgresSettings(dsn=self.dsn))

    def corrupt(self, statement: LiteralString) -> None:
        """Run a statement; `%(id)s` is the id of the first order."""
        uid = next(stream(PLAN)).key.decode()
        with psycopg.connect(self.dsn) as connection:
            [(order_id,)] = connection.execute("SELECT id FROM orders WHERE order_uid = %s", [uid]).fetchall()
            changed = connection.execute(statement, {"id": order_id}).rowcount
        assert changed, "the statement changed no row"

    def store(self) -> None:
        ids = count(1)
        newest = {message.key: message.value for message in stream(PLAN) if message.kind in {VALID, UPDATE}}
        with psycopg.connect(self.dsn) as connection, connection.cursor() as cursor:
            for value in newest.values():
                order = json.loads(value or b"")
                key = {"order_id": next(ids), "shard": shard_of(order["order_uid"])}
                parameters = {"order": Jsonb(order), "key": Jsonb(key)}
                for statement in INSERTS:
                    cursor.execute(statement, parameters)

    def dead_letter(self, message: Message, offset: int, **more: str) -> None:
        origin = {Header.TOPIC: self.topic, Header.PARTITION: "0", Header.OFFSET: str(offset), Header.TIMESTAMP: "1"}
        headers = {Header.REASON: str(message.reason)} | origin | more
        self.send(self.dead_letter_topic, message.key, message.value, [(name, text) for name, text in headers.items()])

    def send(
        self, topic: str, key: bytes, value: bytes | None, headers: list[tuple[str, str | bytes | None]] | None = None
    ) -> None:
        producer = Producer({"bootstrap.servers": self.bootstrap_servers})
        producer.produce(topic, value, key, headers=headers or [])
        assert producer.flush(KAFKA_TIMEOUT_SECONDS) == 0

    def commit(self, left: int = 0) -> None:
        consumer = Consumer({"bootstrap.servers": self.bootstrap_servers, "group.id": self.topic})
        topic = consumer.list_topics(self.topic, timeout=KAFKA_TIMEOUT_SECONDS).topics[self.topic]
        partitions = [TopicPartition(self.topic, number) for number in topic.partitions]
        for partition in partitions:
            partition.offset = consumer.get_watermark_offsets(partition, timeout=KAFKA_TIMEOUT_SECONDS)[1] - left
        consumer.commit(offsets=partitions, asynchronous=False)
        consumer.close()

    def check(self, *options: str) -> int:
        parser = argparse.ArgumentParser()
        check.add_arguments(parser)
        return check.run(parser.parse_args([*OPTIONS, "--wait", "0", *options]), self.settings, ShutdownEvent())


@pytest.fixture
def harness(kafka_server: Kafka, topic: str, database: str) -> Harness:
    """A topic with the plan's messages, and the tables and dead letters that they must result in."""
    harness = Harness(kafka_server.bootstrap_servers, topic, database)
    producer = open_producer(harness.bootstrap_servers, topic, {}, compress=False)
    assert produce(
        stream(PLAN), producer, topic, limiter=RateLimiter(0), stop=ShutdownEvent(), on_progress=lambda _: None
    ).complete
    harness.store()
    for offset, message in enumerate(dead_letters()):
        harness.dead_letter(message, offset)
    harness.commit()
    return harness


def dead_letters() -> list[Message]:
    return [message for message in stream(PLAN) if message.reason]


def cells(out: str, title: str, row: str = "") -> dict[str, str]:
    """Return the counts in one row of a table of the report, by column."""
    lines = out.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(title))
    counts = next(line for line in lines[start + 1 :] if line.startswith(f"  {row}"))
    return dict(zip(columns(lines[start]), columns(counts), strict=True))


def columns(line: str) -> list[str]:
    return [line[start : start + 15].strip() for start in range(16, len(line), 15)]


def test_correct_tables_and_dead_letters_pass(harness: Harness, capsys: pytest.CaptureFixture[str]) -> None:
    assert harness.check() == 0
    out = capsys.readouterr().out
    assert out.endswith("\nexact\n")
    assert cells(out, "messages") == {"expected": "300", "produced": "300", "lag": "0"}
    assert cells(out, "orders")["missing"] == "0"
    assert cells(out, "dead letters", "invalid")["found"] == cells(out, "dead letters", "invalid")["expected"] != "0"


def test_json_has_the_counts(harness: Harness, capsys: pytest.CaptureFixture[str]) -> None:
    assert harness.check("--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["is_exact"] is True
    assert report["messages"] == {"expected": 300, "produced": 300, "lag": 0}
    assert report["orders"]["missing"] == 0
    assert report["dead_letters"]["invalid"]["found"] > 0


def test_until_must_match_the_generator_run(harness: Harness) -> None:
    assert harness.check("--until", "2026-03-01T12:30:00Z") == 0
    assert harness.check("--until", "2026-03-01T12:30:01Z") == 1


Corrupt = Callable[[Harness], None]


@pytest.mark.parametrize(
    ("statement", "column"),
    [
        ("DELETE FROM orders WHERE id = %(id)s", "missing"),
        ("DELETE FROM payments WHERE order_id = %(id)s", "wrong version"),
        ("DELETE FROM items WHERE order_id = %(id)s AND position = 0", "wrong version"),
        ("UPDATE orders SET sm_id = sm_id + 1 WHERE id = %(id)s", "wrong version"),
        ("UPDATE deliveries SET name = '' WHERE order_id = %(id)s", "wrong version"),
        ("UPDATE orders SET date_created = date_created + interval '1 us' WHERE id = %(id)s", "wrong version"),
        (
            """UPDATE orders SET internal_signature = CASE WHEN internal_signature IS NULL THEN '' END
               WHERE id = %(id)s""",
            "wrong version",
        ),
        (
            """INSERT INTO orders SELECT (jsonb_populate_record(o, '{"order_uid": "foreign", "id": 0}')).*
               FROM orders o WHERE id = %(id)s""",
            "unexpected",
        ),
    ],
)
def test_a_corrupted_row_fails(
    harness: Harness, capsys: pytest.CaptureFixture[str], statement: LiteralString, column: str
) -> None:
    harness.corrupt(statement)
    assert harness.check() == 1
    out = capsys.readouterr().out
    assert cells(out, "orders")[column] == "1"
    assert out.endswith("\nNOT EXACT\n")


@pytest.mark.parametrize(
    ("corrupt", "column"),
    [
        (lambda harness: harness.dead_letter(dead_letters()[0], 0), "repeated"),
        (lambda harness: harness.dead_letter(dead_letters()[0], 1_000), "duplicated"),
        (lambda harness: harness.dead_letter(dead_letters()[0]._replace(value=b"{}"), 0), "unexpected"),
        (lambda harness: harness.dead_letter(dead_letters()[0]._replace(key=b"other"), 0), "unexpected"),
    ],
)
def test_an_extra_dead_letter_fails(
    harness: Harness, capsys: pytest.CaptureFixture[str], corrupt: Corrupt, column: str
) -> None:
    corrupt(harness)
    assert harness.check() == 1
    assert cells(capsys.readouterr().out, "dead letters", str(dead_letters()[0].reason))[column] == "1"


def test_duplicate_dead_letters_are_allowed_after_a_crash(harness: Harness) -> None:
    harness.dead_letter(dead_letters()[0], 0)
    assert harness.check("--after-crash") == 0


def test_expired_orders_may_be_missing_and_others_may_not(harness: Harness, capsys: pytest.CaptureFixture[str]) -> None:
    age = datetime.now(UTC) - datetime(2026, 2, 15, tzinfo=UTC)
    expiring = ("--older-than", f"{age // timedelta(seconds=1)}s")
    delete(harness, "date_created < '2026-02-15Z'")
    assert harness.check() == 1
    assert harness.check(*expiring) == 0
    counts = cells(capsys.readouterr().out.rpartition("messages")[2], "orders")
    assert (counts["missing"], counts["expired"]) == ("0", str(int(counts["expected"]) - int(counts["stored"])))
    delete(harness, "id = (SELECT max(id) FROM orders)")
    assert harness.check(*expiring) == 1


def delete(harness: Harness, condition: LiteralString) -> None:
    with psycopg.connect(harness.dsn) as connection:
        assert connection.execute(f"DELETE FROM orders WHERE {condition}").rowcount  # noqa: S608


def test_a_lag_fails_the_check(harness: Harness, capsys: pytest.CaptureFixture[str]) -> None:
    harness.commit(left=1)
    assert harness.check() == 1
    assert cells(capsys.readouterr().out, "messages")["lag"] == "3"


def test_a_foreign_message_in_the_topic_fails(harness: Harness, capsys: pytest.CaptureFixture[str]) -> None:
    harness.send(harness.topic, b"key", None)
    harness.commit()
    assert harness.check() == 1
    assert cells(capsys.readouterr().out, "messages")["produced"] == "301"


def test_another_seed_fails(harness: Harness) -> None:
    assert harness.check("--seed", "6") == 1


def test_an_unreachable_database_is_reported_in_one_line_without_its_password(harness: Harness) -> None:
    dsn = "postgresql://someone:secret@127.0.0.1:1/orders"
    with pytest.raises(
        CommandFailed, match=r"^cannot read from PostgreSQL: the connection to PostgreSQL failed: connection refused$"
    ):
        verify(PLAN, harness.settings.kafka, Conninfo(dsn), is_until_known=True, lag_timeout_seconds=0)
    with pytest.raises(CommandFailed, match=r"^cannot connect to PostgreSQL at 127\.0\.0\.1:1: connection refused"):
        Harness(harness.bootstrap_servers, harness.topic, dsn).check()
