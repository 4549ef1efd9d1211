"""`orders doctor`: checks Kafka and PostgreSQL, and prints how to fix each problem.

It changes nothing. Each check has a timeout.
"""

import argparse
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

import psycopg
from confluent_kafka import KafkaException

from service.config import Settings
from service.config.redaction import redacted
from service.config.sources import DELIMITER
from service.errors import CheckFailed, CheckWarning, OrdersError
from service.handler.kafka.client import properties, topics
from service.handler.kafka.client.error_phrases import phrase
from service.handler.kafka.operations import checks as kafka_checks
from service.pkg.exit_codes import ExitCode
from service.pkg.output import echo
from service.pkg.run_with_timeout import run_with_timeout
from service.repo.operations import checks as postgres_checks
from service.repo.operations import listen_checks, server_settings

CHECK_TIMEOUT_SECONDS: Final = 15.0
"""Timeout of each check."""


class Check(NamedTuple):
    """`run` returns a description or raises. The check is skipped if one of those it `requires` has failed."""

    name: str
    run: Callable[[], str]
    hint: str
    requires: tuple[str, ...] = ()


def run(_args: argparse.Namespace, settings: Settings) -> int:
    """Print the settings without secrets and the result of each check; return DONE if all checks pass, else FAILED.

    A warning counts as passed.
    """
    for line in _variables("ORDERS", redacted(settings)):
        echo(line)
    echo("")
    failed: set[str] = set()
    for check in [*_kafka_checks(settings), *_postgres_checks(settings)]:
        if not _passes(check, failed):
            failed.add(check.name)
    return ExitCode.FAILED if failed else ExitCode.DONE


def _passes(check: Check, failed: set[str]) -> bool:
    if missing := failed.intersection(check.requires):
        echo(f"✗ {check.name:<22} skipped: {min(missing)} failed")
        return False
    try:
        result = run_with_timeout(CHECK_TIMEOUT_SECONDS, check.run)
    except CheckWarning as warning:
        echo(f"! {check.name:<22} {warning}\n  {'':<22} {check.hint}")
        return True
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
        partial(kafka_checks.brokers, kafka),
        "check that Kafka is running, and TLS and SASL in ORDERS_KAFKA__PROPERTIES",
        ("Kafka DNS",),
    )
    yield Check(
        "advertised addresses",
        partial(kafka_checks.advertised_addresses, kafka),
        "every broker must be reachable at its advertised address: check its advertised.listeners",
        ("Kafka",),
    )
    for name in (kafka.topic, kafka.dead_letter_topic):
        yield Check(f"topic {name}", partial(kafka_checks.topic, kafka, name), create, ("Kafka",))
    yield Check(
        "dead-letter size limit",
        partial(kafka_checks.size_limit, kafka),
        f"raise {topics.SIZE_LIMIT} of the dead-letter topic, or large messages are dead-lettered without content",
        (f"topic {kafka.topic}", f"topic {kafka.dead_letter_topic}"),
    )
    if settings.dead_letters.exactly_once:
        yield Check(
            "replication",
            partial(kafka_checks.replicas, kafka),
            "without a replica, a broker that fails may leave a transaction open forever: see docs/delivery.md",
            (f"topic {kafka.dead_letter_topic}",),
        )
    yield Check(
        f"group {kafka.group_id}",
        partial(kafka_checks.group, kafka),
        "check the ACLs: the user needs Read and Describe on the group",
        (f"topic {kafka.topic}",),
    )


def _postgres_checks(settings: Settings) -> Iterator[Check]:
    postgres = settings.postgres
    yield Check("PostgreSQL DNS", lambda: _resolve(postgres_checks.hosts(postgres.dsn)), "check ORDERS_POSTGRES__DSN")
    yield Check(
        "PostgreSQL", partial(postgres_checks.server, postgres), "check ORDERS_POSTGRES__DSN", ("PostgreSQL DNS",)
    )
    yield Check("schema", partial(postgres_checks.schema, postgres), "run `orders migrate`", ("PostgreSQL",))
    yield Check(
        "privileges", partial(postgres_checks.privileges, postgres, settings.mode), "run roles.sql", ("schema",)
    )
    yield Check(
        "notifications",
        partial(listen_checks.notifications, postgres),
        "the API caches nothing without them: set ORDERS_POSTGRES__LISTEN_DSN to a direct connection to the primary",
        ("PostgreSQL",),
    )
    yield Check(
        "WAL settings",
        partial(server_settings.wal, postgres),
        "storing into 10^7 orders takes up to twice as long and writes four times the WAL: see docs/operations.md, and "
        "set checkpoint_timeout=30min, wal_compression=lz4, max_wal_size=10GB or as much as the volume allows",
        ("PostgreSQL",),
    )
    yield Check(
        "clocks", partial(postgres_checks.clock_skew, postgres), "synchronize both machines with NTP", ("PostgreSQL",)
    )


def _resolve(hosts: list[str]) -> str:
    for host in hosts:
        try:
            socket.getaddrinfo(host.strip("[]"), None)
        except OSError:
            raise CheckFailed(f"{host}: host name does not resolve") from None
    return ", ".join(hosts) or "local socket"
