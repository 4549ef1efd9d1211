"""`orders doctor`: checks Kafka and PostgreSQL, and prints how to fix each problem.

It changes nothing. Each check has a timeout.
"""

import argparse
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
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

from service.config import Kafka, Postgres, Settings
from service.config.redaction import redacted
from service.config.sources import DELIMITER
from service.errors import CheckFailed, OrdersError
from service.handler.kafka.client import properties, topics
from service.handler.kafka.client.connection_errors import DiagnosticAdminClient
from service.handler.kafka.client.error_phrases import phrase
from service.handler.kafka.client.topic_reader import TopicReader
from service.pkg.output import echo
from service.pkg.run_with_timeout import run_with_timeout
from service.repo.connection import require_utf8
from service.repo.connection_errors import describe_with_address
from service.repo.migrate import head_number, schema_number
from service.repo.reads import DATABASE, SERVER
from service.repo.rights import READING, WRITING, denied

CHECK_TIMEOUT_SECONDS: Final = 15.0
"""Timeout of each check."""
CALL_TIMEOUT_SECONDS: Final = 5.0
MAX_CLOCK_SKEW_SECONDS: Final = 5.0
"""A larger skew breaks the comparison of versions and the check of `date_created`."""
NOTIFY_CHANNEL: Final = "orders_doctor"


class Check(NamedTuple):
    """`run` returns a description or raises. The check is skipped if one of those it `requires` has failed."""

    name: str
    run: Callable[[], str]
    hint: str
    requires: tuple[str, ...] = ()


def run(_args: argparse.Namespace, settings: Settings) -> int:
    """Print the settings without secrets and the result of each check; return 0 if all checks pass, else 1."""
    for line in _variables("ORDERS", redacted(settings)):
        echo(line)
    echo("")
    failed: set[str] = set()
    for check in [*_kafka_checks(settings), *_postgres_checks(settings)]:
        if not _passes(check, failed):
            failed.add(check.name)
    return 1 if failed else 0


def _passes(check: Check, failed: set[str]) -> bool:
    if missing := failed.intersection(check.requires):
        echo(f"✗ {check.name:<22} skipped: {min(missing)} failed")
        return False
    try:
        result = run_with_timeout(CHECK_TIMEOUT_SECONDS, check.run)
    except Exception as error:  # noqa: BLE001 - the other checks run whatever the error is
        echo(f"✗ {check.name:<22} {_describe(error)}\n  {'':<22} {check.hint}")
        return False
    echo(f"✓ {check.name:<22} {result}")
    return True


def _describe(error: Exception) -> str:
    match error:
        case OrdersError():
            return str(error)
        case TimeoutError():
            return str(error) or "timed out"
        case psycopg.Error():
            return f"{type(error).__name__}, SQLSTATE {error.sqlstate}" if error.sqlstate else type(error).__name__
        case KafkaException():
            return properties.invalid_property(error) or f"Kafka: {phrase(error.args[0])}"
    return type(error).__name__


def _variables(prefix: str, values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        variable = f"{prefix}{DELIMITER if prefix != 'ORDERS' else '_'}{name.upper()}"
        if isinstance(value, dict) and name != "properties":
            yield from _variables(variable, value)
        else:
            yield f"{variable}={value if isinstance(value, str) else '' if value is None else json.dumps(value)}"


def _kafka_checks(settings: Settings) -> Iterator[Check]:
    kafka = settings.kafka
    addresses = [address.strip().rpartition(":")[0] for address in kafka.bootstrap_servers.split(",")]
    create = "run `orders migrate`, or create the topic yourself if ORDERS_KAFKA__CREATE_TOPICS=false"
    yield Check("Kafka DNS", partial(_resolve, addresses), "check ORDERS_KAFKA__BOOTSTRAP_SERVERS")
    yield Check(
        "Kafka",
        partial(_brokers, kafka),
        "check that Kafka is running, and TLS and SASL in ORDERS_KAFKA__PROPERTIES",
        ("Kafka DNS",),
    )
    yield Check(
        "advertised addresses",
        partial(_advertised, kafka),
        "every broker must be reachable at its advertised address: check its advertised.listeners",
        ("Kafka",),
    )
    for name in (kafka.topic, kafka.dead_letter_topic):
        yield Check(f"topic {name}", partial(_topic, kafka, name), create, ("Kafka",))
    yield Check(
        "dead-letter size limit",
        partial(_size_limit, kafka),
        f"raise {topics.SIZE_LIMIT} of the dead-letter topic, or large messages are dead-lettered without content",
        (f"topic {kafka.topic}", f"topic {kafka.dead_letter_topic}"),
    )
    if settings.dead_letters.exactly_once:
        yield Check(
            "replication",
            partial(_replicas, kafka),
            "without a replica, a broker that fails may leave a transaction open forever: see docs/delivery.md",
            (f"topic {kafka.dead_letter_topic}",),
        )
    yield Check(
        f"group {kafka.group_id}",
        partial(_group, kafka),
        "check the ACLs: the user needs Read and Describe on the group",
        (f"topic {kafka.topic}",),
    )


def _postgres_checks(settings: Settings) -> Iterator[Check]:
    postgres = settings.postgres
    yield Check("PostgreSQL DNS", lambda: _resolve(_hosts(postgres.dsn)), "check ORDERS_POSTGRES__DSN")
    yield Check("PostgreSQL", partial(_server, postgres), "check ORDERS_POSTGRES__DSN", ("PostgreSQL DNS",))
    yield Check("schema", partial(_schema, postgres), "run `orders migrate`", ("PostgreSQL",))
    yield Check("privileges", partial(_privileges, postgres, settings.mode), "run roles.sql", ("schema",))
    yield Check(
        "notifications",
        partial(_round_trip, postgres),
        "the API caches nothing without them: set ORDERS_POSTGRES__LISTEN_DSN to a direct connection to the primary",
        ("PostgreSQL",),
    )
    yield Check("clocks", partial(_clock_skew, postgres), "synchronize both machines with NTP", ("PostgreSQL",))


def _resolve(hosts: list[str]) -> str:
    for host in hosts:
        try:
            socket.getaddrinfo(host.strip("[]"), None)
        except OSError:
            raise CheckFailed(f"{host}: host name does not resolve") from None
    return ", ".join(hosts) or "local socket"


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
    return f"{len(brokers)} brokers, {_protocol(kafka)}"


def _advertised(kafka: Kafka) -> str:
    """List the advertised addresses, where clients connect after bootstrapping."""
    brokers = _admin(kafka).check_advertised(CALL_TIMEOUT_SECONDS)
    addresses = ", ".join(map(str, brokers))
    if any(broker.problem for broker in brokers):
        raise CheckFailed(addresses)
    return addresses


def _protocol(kafka: Kafka) -> str:
    return str(kafka.properties.get("security.protocol", "plaintext")).upper()


def _topic(kafka: Kafka, name: str) -> str:
    partition_counts = topics.partition_counts(_admin(kafka))
    if name not in partition_counts:
        raise CheckFailed("unknown topic")
    return f"{partition_counts[name]} partitions"


def _size_limit(kafka: Kafka) -> str:
    if problem := topics.size_mismatch(kafka, _admin(kafka)):
        raise CheckFailed(problem)
    return f"{topics.SIZE_LIMIT} of {kafka.dead_letter_topic} is at least that of {kafka.topic}"


def _replicas(kafka: Kafka) -> str:
    names = (kafka.dead_letter_topic, "__consumer_offsets", "__transaction_state")
    if unreplicated := topics.unreplicated(names, _admin(kafka)):
        raise CheckFailed(f"only one replica of {', '.join(unreplicated)}")
    return "at least two replicas of each topic that transactions use"


def _group(kafka: Kafka) -> str:
    admin = _admin(kafka)
    described = admin.describe_consumer_groups([kafka.group_id], request_timeout=CALL_TIMEOUT_SECONDS)[kafka.group_id]
    group = described.result(CALL_TIMEOUT_SECONDS)
    with closing(Consumer(properties.command_consumer(kafka))) as consumer:
        topic = TopicReader(consumer, kafka.topic)
        position = {**topic.starts, **topic.committed()}
    lag = sum(max(end - position[partition], 0) for partition, end in topic.ends.items())
    summary = f"{group.state.name.lower()}, {len(group.members)} members, lag {lag:,}"
    blocked = _blocked_by_transactions(admin, topic)
    return f"{summary}, {blocked:,} messages behind an open transaction" if blocked else summary


def _blocked_by_transactions(admin: DiagnosticAdminClient, topic: TopicReader) -> int:
    """Count the messages after the last stable offset. The end is read first, so that new messages don't count."""
    ends = _ends(admin, topic, IsolationLevel.READ_UNCOMMITTED)
    stable = _ends(admin, topic, IsolationLevel.READ_COMMITTED)
    return sum(max(end - stable[partition], 0) for partition, end in ends.items())


def _ends(admin: DiagnosticAdminClient, topic: TopicReader, isolation_level: IsolationLevel) -> dict[int, int]:
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    partitions = {TopicPartition(topic.name, partition): latest for partition in topic.ends}
    requests = admin.list_offsets(partitions, isolation_level=isolation_level, request_timeout=CALL_TIMEOUT_SECONDS)
    return {each.partition: request.result(CALL_TIMEOUT_SECONDS).offset for each, request in requests.items()}


def _connect(dsn: str, postgres: Postgres) -> psycopg.Connection[TupleRow]:
    try:
        return psycopg.connect(dsn, connect_timeout=max(2, round(postgres.connect_timeout)), autocommit=True)
    except psycopg.OperationalError as error:
        raise CheckFailed(describe_with_address(error, dsn)) from None


def _server(postgres: Postgres) -> str:
    with _connect(postgres.dsn, postgres) as connection:
        require_utf8(connection)
        major, minor = divmod(connection.info.server_version, 10_000)
        row = connection.execute(SERVER).fetchone()
        backend, is_standby = row or (0, False)
        route = ["standby"] * is_standby + ["through a pooler"] * (backend != connection.info.backend_pid)
        return ", ".join([f"{major}.{minor}", *route, f"{'with' if connection.pgconn.ssl_in_use else 'without'} TLS"])


def _schema(postgres: Postgres) -> str:
    number, wanted = schema_number(postgres.dsn), head_number()
    if number < wanted:
        raise CheckFailed(f"version {number:04}, but this release needs {wanted:04}")
    return f"version {number:04}, this release needs {wanted:04}"


def _privileges(postgres: Postgres, mode: str | None) -> str:
    wanted = READING | WRITING if mode == "consumer" else READING
    with _connect(postgres.dsn, postgres) as connection:
        missing, can_write = denied(connection, wanted), not denied(connection, WRITING)
    if missing:
        raise CheckFailed(f"permission denied: {', '.join(f'{privilege} on {table}' for table, privilege in missing)}")
    return "can read and write orders" if can_write else "can only read orders"


def _round_trip(postgres: Postgres) -> str:
    dsn = postgres.listen_dsn or postgres.dsn
    with (
        _connect(postgres.dsn, postgres) as reader,
        _connect(dsn, postgres) as listener,
        _connect(dsn, postgres) as notifier,
    ):
        if len({str(each.execute(f"SELECT {DATABASE}").fetchone()) for each in (reader, listener)}) > 1:
            raise CheckFailed("ORDERS_POSTGRES__LISTEN_DSN and ORDERS_POSTGRES__DSN connect to different databases")
        try:
            listener.execute(f"LISTEN {NOTIFY_CHANNEL}")
        except ReadOnlySqlTransaction:
            raise CheckFailed("a standby does not support LISTEN") from None
        started_at = monotonic()
        notifier.execute(f"NOTIFY {NOTIFY_CHANNEL}")
        if not list(listener.notifies(timeout=CALL_TIMEOUT_SECONDS, stop_after=1)):
            raise CheckFailed(f"no notification within {CALL_TIMEOUT_SECONDS:g} s")
    return f"delivered in {(monotonic() - started_at) * 1_000:.0f} ms"


def _clock_skew(postgres: Postgres) -> str:
    with _connect(postgres.dsn, postgres) as connection:
        before = datetime.now(UTC)
        row = connection.execute("SELECT clock_timestamp()").fetchone()
        after = datetime.now(UTC)
    assert row is not None  # noqa: S101 - for the type checker
    skew = (row[0] - (before + (after - before) / 2)).total_seconds()
    if abs(skew) > MAX_CLOCK_SKEW_SECONDS:
        raise CheckFailed(f"PostgreSQL's clock differs from the local clock by {skew:+.1f} s")
    return f"PostgreSQL's clock differs from the local clock by {skew:+.3f} s"
