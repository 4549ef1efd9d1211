"""`orders doctor` with real servers."""

import argparse
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from service.app.commands.doctor import checks as doctor_checks
from service.app.commands.doctor import command as doctor
from service.config import KafkaSettings, PostgresSettings, Settings
from service.handler.kafka.operations import kafka_checks
from service.pkg.shutdown_event import ShutdownEvent
from service.repo.listener.merged import OTHER_DATABASE, STANDBY
from service.repo.operations import listen_checks, postgres_checks
from service.repo.schema.migrate import head_number
from service.usecases.diagnose import CheckOutcome, run_checks
from tests.kit import servers, temporary
from tests.kit.harness import Harness, Sent
from tests.kit.pooler import pgbouncer
from tests.kit.processes import Spawn
from tests.kit.standby import standby

if TYPE_CHECKING:
    from local.postgres import Postgres as Server

OurSettings = dict[str, str]


@pytest.fixture
def healthy(kafka: KafkaSettings, database: str) -> Settings:
    return Settings(kafka=kafka.model_copy(update={"group_id": "orders"}), postgres=PostgresSettings(dsn=database))


@pytest.fixture
def unresponsive() -> Iterator[str]:
    """Address of a server that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def results(capsys: pytest.CaptureFixture[str]) -> "Results":
    return Results(capsys)


class Results:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def of(self, settings: Settings, *, code: int) -> dict[str, str]:
        """Run the doctor; return the failed checks or, if `code` is 0, the passed ones: result by name."""
        assert doctor.run(argparse.Namespace(json=False), settings, ShutdownEvent()) == code
        sign = "✗" if code else "✓"
        lines = [line for line in self._capsys.readouterr().out.splitlines() if line.startswith(sign)]
        return {line[2:24].strip(): line[25:] for line in lines}


def test_all_checks_pass_with_healthy_servers(settings: OurSettings, spawn: Spawn) -> None:
    process = spawn("doctor", settings=settings | {"ORDERS_KAFKA__PROPERTIES": '{"sasl.password": "hunter2"}'})
    assert process.process.wait(60) == 0
    output = process.tail(500)
    assert output.count("✓") == 17
    assert "\n! WAL settings" in output  # the server has its defaults
    assert "see docs/operations.md" in output
    assert "✗" not in output
    assert f"ORDERS_KAFKA__TOPIC={settings['ORDERS_KAFKA__TOPIC']}" in output
    assert 'ORDERS_KAFKA__PROPERTIES={"sasl.password": "***"}' in output
    assert "hunter2" not in output


def test_a_missing_topic_is_reported(healthy: Settings, results: Results) -> None:
    kafka = healthy.kafka.model_copy(update={"topic": "nothing-here"})
    failed = results.of(healthy.model_copy(update={"kafka": kafka}), code=1)
    skipped = "skipped: topic nothing-here failed"
    assert failed == {
        "topic nothing-here": "unknown topic",
        "dead-letter size limit": skipped,
        "group orders": skipped,
    }


def test_a_single_replica_is_reported_if_dead_letters_are_sent_exactly_once(
    healthy: Settings, results: Results
) -> None:
    assert "replication" not in results.of(healthy, code=0)
    dead_letters = healthy.dead_letters.model_copy(update={"exactly_once": True})
    failed = results.of(healthy.model_copy(update={"dead_letters": dead_letters}), code=1)
    assert failed["replication"].startswith(
        f"only one replica of {healthy.kafka.dead_letter_topic}, __consumer_offsets"
    )


def test_a_single_replica_is_in_sync_whatever_the_topic_demands(
    harness: Harness, healthy: Settings, results: Results
) -> None:
    harness.configure(harness.dead_letter_topic, **{"min.insync.replicas": 2})
    harness.produce_to(harness.dead_letter_topic, Sent(b"accepted"))
    kafka = healthy.kafka.model_copy(update={"dead_letter_topic": harness.dead_letter_topic})
    passed = results.of(healthy.model_copy(update={"kafka": kafka}), code=0)
    assert passed["in-sync replicas"] == f"{harness.dead_letter_topic} has enough"


def test_limits_of_the_brokers_are_reported_if_they_are_too_low(
    healthy: Settings, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_checks, "MIN_BROKER_LIMITS", {"offset.metadata.max.bytes": 4_097})
    failed = results.of(healthy, code=1)
    assert failed == {"broker limits": "offset.metadata.max.bytes is 4096, less than 4097"}
    monkeypatch.setattr(kafka_checks, "MIN_TRANSACTION_LIMITS", {"transaction.max.timeout.ms": 900_001})
    dead_letters = healthy.dead_letters.model_copy(update={"exactly_once": True})
    failed = results.of(healthy.model_copy(update={"dead_letters": dead_letters}), code=1)
    assert failed["broker limits"].endswith(", transaction.max.timeout.ms is 900000, less than 900001")


def test_an_older_schema_is_reported(healthy: Settings, results: Results) -> None:
    with psycopg.connect(healthy.postgres.dsn) as connection:
        connection.execute("DELETE FROM schema_releases")
    failed = {
        "schema": f"version 0000, but this release needs {head_number():04}",
        "columns": "skipped: schema failed",
        "privileges": "skipped: schema failed",
        "role settings": "skipped: schema failed",
    }
    assert results.of(healthy, code=1) == failed


def test_a_schema_of_an_unreleased_version_is_reported(healthy: Settings, results: Results) -> None:
    with psycopg.connect(healthy.postgres.dsn) as connection:
        connection.execute("ALTER TABLE items RENAME COLUMN order_id TO order_uid")
    assert results.of(healthy, code=1) == {"columns": "missing: items.order_id"}


def test_unreachable_servers_are_reported_separately_and_without_passwords(
    healthy: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    kafka = healthy.kafka.model_copy(update={"bootstrap_servers": "nowhere.invalid:9092"})
    postgres = PostgresSettings(dsn="postgresql://me:hunter2@127.0.0.1:1/orders")
    assert doctor.run(argparse.Namespace(json=False), Settings(kafka=kafka, postgres=postgres), ShutdownEvent()) == 1
    output = capsys.readouterr().out
    assert "nowhere.invalid: host name does not resolve" in output
    assert "127.0.0.1:1: connection refused" in output
    assert "hunter2" not in output


def test_json_has_the_settings_and_the_result_of_each_check(
    healthy: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(kafka=healthy.kafka, postgres=PostgresSettings(dsn="postgresql://me:hunter2@127.0.0.1:1/x"))
    assert doctor.run(argparse.Namespace(json=True), settings, ShutdownEvent()) == 1
    output = capsys.readouterr().out
    assert "hunter2" not in output
    report = json.loads(output)
    assert report["settings"]["ORDERS_KAFKA__TOPIC"] == healthy.kafka.topic
    checks = {check["name"]: check for check in report["checks"]}
    assert checks["PostgreSQL"] == {
        "name": "PostgreSQL",
        "outcome": "failed",
        "description": checks["PostgreSQL"]["description"],
        "hint": "check ORDERS_POSTGRES__DSN",
    }
    assert "connection refused" in checks["PostgreSQL"]["description"]
    assert (checks["Kafka"]["outcome"], checks["schema"]["outcome"]) == ("passed", "skipped")


def test_checks_of_unresponsive_servers_time_out(
    healthy: Settings, unresponsive: str, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "CHECK_TIMEOUT_SECONDS", 0.5)
    kafka = healthy.kafka.model_copy(update={"bootstrap_servers": unresponsive})
    failed = results.of(
        Settings(kafka=kafka, postgres=PostgresSettings(dsn=f"postgresql://{unresponsive}/orders")), code=1
    )
    assert failed["Kafka"] == failed["PostgreSQL"] == "timed out after 0.5 s"


def test_a_listen_dsn_of_another_database_is_reported(
    healthy: Settings, postgres_server: servers.Postgres, results: Results
) -> None:
    """Notifications do not cross databases."""
    with temporary.database(postgres_server.dsn) as (_, elsewhere):
        postgres = PostgresSettings(dsn=healthy.postgres.dsn, listen_dsn=elsewhere)
        assert results.of(healthy.model_copy(update={"postgres": postgres}), code=1) == {
            "notifications": OTHER_DATABASE
        }


def test_a_pooler_that_drops_notifications_is_reported(
    healthy: Settings, database: str, results: Results, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(listen_checks, "NOTIFICATION_TIMEOUT_SECONDS", 2.0)
    with pgbouncer(database, tmp_path / "pgbouncer.txt") as pooled:
        through = healthy.model_copy(update={"postgres": PostgresSettings(dsn=pooled)})
        assert results.of(through, code=1) == {"notifications": "no notification within 2 s"}
        direct = healthy.model_copy(update={"postgres": PostgresSettings(dsn=pooled, listen_dsn=database)})
        assert "through a pooler" in results.of(direct, code=0)["PostgreSQL"]


def test_a_standby_without_a_listen_dsn_is_reported(
    healthy: Settings, own_postgres: "Server", results: Results, tmp_path: Path
) -> None:
    with standby(own_postgres, tmp_path / "standby") as lagging:
        through = healthy.model_copy(update={"postgres": PostgresSettings(dsn=lagging.dsn)})
        assert results.of(through, code=1) == {"notifications": "a standby does not support LISTEN"}
        direct = healthy.model_copy(update={"postgres": PostgresSettings(dsn=lagging.dsn, listen_dsn=own_postgres.dsn)})
        assert "standby" in results.of(direct, code=0)["PostgreSQL"]


def test_a_standby_with_several_listen_dsns_is_reported(
    healthy: Settings, database: str, own_postgres: "Server", results: Results, tmp_path: Path
) -> None:
    with standby(own_postgres, tmp_path / "standby") as lagging:
        listen = json.dumps([own_postgres.dsn, database])
        postgres = PostgresSettings(dsn=lagging.dsn, listen_dsn=listen)
        assert results.of(healthy.model_copy(update={"postgres": postgres}), code=1) == {"notifications": STANDBY}


def test_settings_that_cost_wal_are_a_warning(healthy: Settings, own_postgres: "Server") -> None:
    settings = healthy.model_copy(update={"postgres": PostgresSettings(dsn=own_postgres.dsn)})
    wal_check = next(each for each in doctor_checks.checks(settings) if each.name == "WAL settings")
    (result,) = run_checks([wal_check], doctor.CHECK_TIMEOUT_SECONDS, repr)
    assert result.outcome is CheckOutcome.WARNING
    assert "max_wal_size is 1024 MB" in result.description
    assert "checkpoint_timeout is 300 s" in result.description
    assert "wal_compression is off" in result.description
    with psycopg.connect(own_postgres.dsn, autocommit=True) as admin:
        admin.execute("ALTER SYSTEM SET max_wal_size = '4GB'")
        admin.execute("ALTER SYSTEM SET checkpoint_timeout = '15min'")
        admin.execute("ALTER SYSTEM SET wal_compression = 'on'")
    own_postgres.stop()
    own_postgres.start()
    (result,) = run_checks([wal_check], doctor.CHECK_TIMEOUT_SECONDS, repr)
    assert result.outcome is CheckOutcome.PASSED


def test_clock_skew_is_reported(healthy: Settings, results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_checks, "MAX_CLOCK_SKEW_SECONDS", -1.0)
    assert "differs from the local clock" in results.of(healthy, code=1)["clocks"]


def test_the_clocks_are_compared_with_any_style_of_dates(database: str) -> None:
    dsn = f"{database}?options=-cdatestyle%3DGerman"
    assert "differs from the local clock" in postgres_checks.clock_skew(PostgresSettings(dsn=dsn))


def test_an_unknown_librdkafka_property_is_reported(healthy: Settings, results: Results) -> None:
    kafka = healthy.kafka.model_copy(update={"properties": {"no.such.thing": 1}})
    assert (
        results.of(healthy.model_copy(update={"kafka": kafka}), code=1)["Kafka"]
        == "librdkafka has no property no.such.thing"
    )
