"""`orders doctor`: asks every dependency what we need of it, and tells what to do where it is missing.

It changes nothing, and each question has a deadline.
"""

import argparse
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import Any, Final, NamedTuple

import psycopg
from confluent_kafka import Consumer, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import ReadOnlySqlTransaction
from psycopg.rows import TupleRow

from service import config
from service.config import Kafka, Postgres, Settings
from service.entities.errors import OrdersError
from service.handler.kafka.client import properties, topics
from service.handler.kafka.client.connection_errors import DiagnosticAdminClient
from service.handler.kafka.client.error_phrases import phrase
from service.handler.kafka.client.topic_reader import TopicReader
from service.pkg.polling import DeadlineExceeded, Poller, TryAgain, echo
from service.repo.connection import require_utf8
from service.repo.connection_errors import unreachable
from service.repo.migrate import head_number, schema_number
from service.repo.reads import DATABASE, SERVER
from service.repo.rights import READING, WRITING, denied

CHECK_SECONDS: Final = 15.0
"""How long one question may take."""
CALL_TIMEOUT_SECONDS: Final = 5.0
SKEW_SECONDS: Final = 5.0
"""Clocks further apart than this make a mess of versions and of `date_created`."""
CHANNEL: Final = "orders_doctor"


class CheckFailed(Exception):
    """A dependency is not as we need it; the text says how it is, without a secret."""


class Check(NamedTuple):
    """One question: `ask` returns what is there or raises. It is not asked where one of `needs` has failed."""

    name: str
    ask: Callable[[], str]
    hint: str
    needs: tuple[str, ...] = ()


def run(_args: argparse.Namespace, settings: Settings) -> int:
    """Print the settings without their secrets and the answer to every question; return 0 where all is well."""
    for line in _variables("ORDERS", config.redacted(settings)):
        echo(line)
    echo("")
    failed: set[str] = set()
    for check in [*_kafka_checks(settings), *_postgres_checks(settings)]:
        if not _passes(check, failed):
            failed.add(check.name)
    return 1 if failed else 0


def _passes(check: Check, failed: set[str]) -> bool:
    if first := failed.intersection(check.needs):
        echo(f"✗ {check.name:<22} not asked: {min(first)} comes first")
        return False
    try:
        answer = Poller(CHECK_SECONDS, lambda _: None).call(check.ask, check.name)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other questions are asked too
        echo(f"✗ {check.name:<22} {_in_our_words(error)}\n  {'':<22} {check.hint}")
        return False
    echo(f"✓ {check.name:<22} {answer}")
    return True


def _in_our_words(error: Exception) -> str:
    match error:
        case CheckFailed() | TryAgain() | OrdersError():
            return str(error)
        case DeadlineExceeded():
            return f"no answer in {CHECK_SECONDS:g} s"
        case psycopg.Error():
            return f"{type(error).__name__}, SQLSTATE {error.sqlstate}" if error.sqlstate else type(error).__name__
        case KafkaException():
            return properties.invalid_property(error) or f"Kafka: {phrase(error.args[0])}"
    return type(error).__name__


def _variables(prefix: str, values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        variable = f"{prefix}{config.DELIMITER if prefix != 'ORDERS' else '_'}{name.upper()}"
        if isinstance(value, dict) and name != "properties":
            yield from _variables(variable, value)
        else:
            yield f"{variable}={value if isinstance(value, str) else '' if value is None else json.dumps(value)}"


def _kafka_checks(settings: Settings) -> Iterator[Check]:
    kafka = settings.kafka
    addresses = [address.strip().rpartition(":")[0] for address in kafka.bootstrap_servers.split(",")]
    migrate = "`orders migrate` creates it; with ORDERS_KAFKA__CREATE_TOPICS=false somebody else has to"
    yield Check("DNS of Kafka", partial(_resolve, addresses), "see ORDERS_KAFKA__BOOTSTRAP_SERVERS")
    yield Check(
        "Kafka",
        partial(_brokers, kafka),
        "is it up? do TLS and SASL in ORDERS_KAFKA__PROPERTIES fit?",
        ("DNS of Kafka",),
    )
    yield Check(
        "advertised addresses",
        partial(_advertised, kafka),
        "clients must reach every broker where it says that it is: see advertised.listeners of the brokers",
        ("Kafka",),
    )
    for name in (kafka.topic, kafka.dead_letter_topic):
        yield Check(f"topic {name}", partial(_topic, kafka, name), migrate, ("Kafka",))
    yield Check(
        "room for dead letters",
        partial(_room, kafka),
        f"raise {topics.SIZE_LIMIT} of the dead-letter topic, or large ones become stubs",
        (f"topic {kafka.topic}", f"topic {kafka.dead_letter_topic}"),
    )
    if settings.dead_letters.exactly_once:
        yield Check(
            "replicas",
            partial(_replicas, kafka),
            "a broker that goes may leave a transaction open for good: see Exactly once in docs/delivery.md",
            (f"topic {kafka.dead_letter_topic}",),
        )
    yield Check(
        f"group {kafka.group_id}",
        partial(_group, kafka),
        "may we describe the group and read its offsets?",
        (f"topic {kafka.topic}",),
    )


def _postgres_checks(settings: Settings) -> Iterator[Check]:
    postgres = settings.postgres
    yield Check("DNS of PostgreSQL", lambda: _resolve(_hosts(postgres.dsn)), "see ORDERS_POSTGRES__DSN")
    yield Check("PostgreSQL", partial(_server, postgres), "see ORDERS_POSTGRES__DSN", ("DNS of PostgreSQL",))
    yield Check("schema", partial(_schema, postgres), "run `orders migrate`", ("PostgreSQL",))
    yield Check("rights", partial(_rights, postgres, settings.mode), "let roles.sql grant them", ("schema",))
    yield Check(
        "notifications",
        partial(_round_trip, postgres),
        "without them nothing is cached: set ORDERS_POSTGRES__LISTEN_DSN to a direct connection to the primary",
        ("PostgreSQL",),
    )
    yield Check("clocks", partial(_skew, postgres), "let both machines follow the same time servers", ("PostgreSQL",))


def _resolve(hosts: list[str]) -> str:
    for host in hosts:
        try:
            socket.getaddrinfo(host.strip("[]"), None)
        except OSError:
            raise CheckFailed(f"{host} doesn't resolve") from None
    return ", ".join(hosts) or "a local socket"


def _hosts(dsn: str) -> list[str]:
    hosts = str(conninfo_to_dict(dsn).get("host") or "").split(",")
    return [host for host in hosts if host and not host.startswith("/")]


def _admin(kafka: Kafka) -> DiagnosticAdminClient:
    return DiagnosticAdminClient(properties.common(kafka))


def _brokers(kafka: Kafka) -> str:
    admin = _admin(kafka)
    try:
        brokers = admin.list_topics(timeout=CALL_TIMEOUT_SECONDS).brokers
    except KafkaException as error:
        raise CheckFailed(str(admin.last_failure() or f"{kafka.bootstrap_servers}: {phrase(error.args[0])}")) from None
    return f"{len(brokers)} brokers, by {_protocol(kafka)}"


def _advertised(kafka: Kafka) -> str:
    """Name the address of each broker: clients connect there, wherever they asked first."""
    brokers = _admin(kafka).check_advertised(CALL_TIMEOUT_SECONDS)
    told = ", ".join(map(str, brokers))
    if any(broker.problem for broker in brokers):
        raise CheckFailed(told)
    return told


def _protocol(kafka: Kafka) -> str:
    return str(kafka.properties.get("security.protocol", "plaintext")).upper()


def _topic(kafka: Kafka, name: str) -> str:
    there = topics.partition_counts(_admin(kafka))
    if name not in there:
        raise CheckFailed("isn't there")
    return f"{there[name]} partitions"


def _room(kafka: Kafka) -> str:
    if problem := topics.size_mismatch(kafka, _admin(kafka)):
        raise CheckFailed(problem)
    return f"{kafka.dead_letter_topic} takes what {kafka.topic} takes"


def _replicas(kafka: Kafka) -> str:
    names = (kafka.dead_letter_topic, "__consumer_offsets", "__transaction_state")
    if single := topics.unreplicated(names, _admin(kafka)):
        raise CheckFailed(f"one alone of {', '.join(single)}")
    return "two or more of each topic that a transaction concerns"


def _group(kafka: Kafka) -> str:
    admin = _admin(kafka)
    described = admin.describe_consumer_groups([kafka.group_id], request_timeout=CALL_TIMEOUT_SECONDS)[kafka.group_id]
    group = described.result(CALL_TIMEOUT_SECONDS)
    consumer = Consumer(properties.without_logs(properties.consumer(kafka)))
    try:
        topic = TopicReader(consumer, kafka.topic)
        done = {**topic.starts, **topic.committed()}
    finally:
        consumer.close()
    lag = sum(max(end - done[partition], 0) for partition, end in topic.ends.items())
    told = f"{group.state.name.lower()}, {len(group.members)} members, lag {lag:,}"
    locked = _locked(admin, topic)
    return f"{told}, {locked:,} messages behind an open transaction" if locked else told


def _locked(admin: DiagnosticAdminClient, topic: TopicReader) -> int:
    """Count what nobody may read yet. The ends are asked for first: what comes meanwhile is behind no transaction."""
    ends = _ends(admin, topic, IsolationLevel.READ_UNCOMMITTED)
    stable = _ends(admin, topic, IsolationLevel.READ_COMMITTED)
    return sum(max(end - stable[partition], 0) for partition, end in ends.items())


def _ends(admin: DiagnosticAdminClient, topic: TopicReader, isolation_level: IsolationLevel) -> dict[int, int]:
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    places = {TopicPartition(topic.name, partition): latest for partition in topic.ends}
    asked = admin.list_offsets(places, isolation_level=isolation_level, request_timeout=CALL_TIMEOUT_SECONDS)
    return {place.partition: answer.result(CALL_TIMEOUT_SECONDS).offset for place, answer in asked.items()}


def _connect(dsn: str, postgres: Postgres) -> psycopg.Connection[TupleRow]:
    try:
        return psycopg.connect(dsn, connect_timeout=max(2, round(postgres.connect_timeout)), autocommit=True)
    except psycopg.OperationalError as error:
        raise CheckFailed(unreachable(error, dsn)) from None


def _server(postgres: Postgres) -> str:
    with _connect(postgres.dsn, postgres) as connection:
        require_utf8(connection)
        major, minor = divmod(connection.info.server_version, 10_000)
        row = connection.execute(SERVER).fetchone()
        backend, is_standby = row or (0, False)
        where = ["a standby"] * is_standby + ["through a pooler"] * (backend != connection.info.backend_pid)
        return ", ".join([f"{major}.{minor}", *where, f"{'with' if connection.pgconn.ssl_in_use else 'without'} TLS"])


def _schema(postgres: Postgres) -> str:
    number, wanted = schema_number(postgres.dsn), head_number()
    if number < wanted:
        raise CheckFailed(f"at {number:04}, this release needs {wanted:04}")
    return f"at {number:04}, this release needs {wanted:04}"


def _rights(postgres: Postgres, mode: str | None) -> str:
    wanted = READING | WRITING if mode == "consumer" else READING
    with _connect(postgres.dsn, postgres) as connection:
        lacking, may_write = denied(connection, wanted), not denied(connection, WRITING)
    if lacking:
        raise CheckFailed(f"no {', '.join(f'{how} on {table}' for table, how in lacking)}")
    return "may read and store orders" if may_write else "may read orders, and store none"


def _round_trip(postgres: Postgres) -> str:
    dsn = postgres.listen_dsn or postgres.dsn
    with _connect(postgres.dsn, postgres) as reading, _connect(dsn, postgres) as ear, _connect(dsn, postgres) as mouth:
        if len({str(each.execute(f"SELECT {DATABASE}").fetchone()) for each in (reading, ear)}) > 1:
            raise CheckFailed("ORDERS_POSTGRES__LISTEN_DSN leads to another database than ORDERS_POSTGRES__DSN")
        try:
            ear.execute(f"LISTEN {CHANNEL}")
        except ReadOnlySqlTransaction:
            raise CheckFailed("a standby takes no LISTEN") from None
        began = monotonic()
        mouth.execute(f"NOTIFY {CHANNEL}")
        if not list(ear.notifies(timeout=CALL_TIMEOUT_SECONDS, stop_after=1)):
            raise CheckFailed(f"none came in {CALL_TIMEOUT_SECONDS:g} s")
    return f"came after {(monotonic() - began) * 1_000:.0f} ms"


def _skew(postgres: Postgres) -> str:
    with _connect(postgres.dsn, postgres) as connection:
        before = datetime.now(UTC)
        row = connection.execute("SELECT clock_timestamp()").fetchone()
        after = datetime.now(UTC)
    assert row is not None  # noqa: S101 - for the type checker
    skew = (row[0] - (before + (after - before) / 2)).total_seconds()
    if abs(skew) > SKEW_SECONDS:
        raise CheckFailed(f"PostgreSQL's is {skew:+.1f} s off ours")
    return f"PostgreSQL's is {skew:+.3f} s off ours"
