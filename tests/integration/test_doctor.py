"""`orders doctor` as its users run it."""

import argparse
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from service.app.commands import doctor
from service.config import Kafka, Postgres, Settings
from service.repo.migrate import head_number
from tests import fresh, servers
from tests.pooler import pgbouncer
from tests.processes import Spawn
from tests.standby import standby

if TYPE_CHECKING:
    from local.postgres import Postgres as Server

OurSettings = dict[str, str]


@pytest.fixture
def well(kafka_server: servers.Kafka, topic: str, database: str) -> Settings:
    kafka = Kafka(bootstrap_servers=kafka_server.bootstrap_servers, topic=topic, dead_letter_topic=f"{topic}.dlq")
    return Settings(kafka=kafka, postgres=Postgres(dsn=database))


@pytest.fixture
def mute() -> Iterator[str]:
    """Address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def answers(capsys: pytest.CaptureFixture[str]) -> "Answers":
    return Answers(capsys)


class Answers:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def to(self, settings: Settings, *, code: int) -> dict[str, str]:
        """Run the doctor, and return the answers that begin with ✗ or, where `code` is 0, with ✓, by question."""
        assert doctor.run(argparse.Namespace(), settings) == code
        sign = "✗" if code else "✓"
        lines = [line for line in self._capsys.readouterr().out.splitlines() if line.startswith(sign)]
        return {line[2:24].strip(): line[25:] for line in lines}


def test_all_is_well_where_everything_is_there(settings: OurSettings, spawn: Spawn) -> None:
    process = spawn("doctor", settings=settings | {"ORDERS_KAFKA__PROPERTIES": '{"sasl.password": "hunter2"}'})
    assert process.process.wait(60) == 0
    output = process.tail(500)
    assert output.count("✓") == 13
    assert "✗" not in output
    assert f"ORDERS_KAFKA__TOPIC={settings['ORDERS_KAFKA__TOPIC']}" in output
    assert 'ORDERS_KAFKA__PROPERTIES={"sasl.password": "***"}' in output
    assert "hunter2" not in output


def test_missing_topics_are_named_with_what_makes_them(well: Settings, answers: Answers) -> None:
    kafka = well.kafka.model_copy(update={"topic": "nothing-here"})
    failed = answers.to(well.model_copy(update={"kafka": kafka}), code=1)
    not_asked = "not asked: topic nothing-here comes first"
    assert failed == {
        "topic nothing-here": "isn't there",
        "room for dead letters": not_asked,
        "group orders": not_asked,
    }


def test_a_lone_replica_is_told_where_dead_letters_are_sent_exactly_once(well: Settings, answers: Answers) -> None:
    assert "replicas" not in answers.to(well, code=0)
    dead_letters = well.dead_letters.model_copy(update={"exactly_once": True})
    failed = answers.to(well.model_copy(update={"dead_letters": dead_letters}), code=1)
    assert failed["replicas"].startswith(f"one alone of {well.kafka.dead_letter_topic}, __consumer_offsets")


def test_an_older_schema_is_told(well: Settings, answers: Answers) -> None:
    with psycopg.connect(well.postgres.dsn) as connection:
        connection.execute("DELETE FROM schema_releases")
    failed = {"schema": f"at 0000, this release needs {head_number():04}", "rights": "not asked: schema comes first"}
    assert answers.to(well, code=1) == failed


def test_servers_that_are_away_are_told_apart_and_no_password_is_printed(
    well: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    kafka = well.kafka.model_copy(update={"bootstrap_servers": "nowhere.invalid:9092"})
    postgres = Postgres(dsn="postgresql://me:hunter2@127.0.0.1:1/orders")
    assert doctor.run(argparse.Namespace(), Settings(kafka=kafka, postgres=postgres)) == 1
    output = capsys.readouterr().out
    assert "nowhere.invalid doesn't resolve" in output
    assert "127.0.0.1:1: connection refused" in output
    assert "hunter2" not in output


def test_servers_that_never_answer_do_not_hang_it(
    well: Settings, mute: str, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "CHECK_SECONDS", 0.5)
    kafka = well.kafka.model_copy(update={"bootstrap_servers": mute})
    failed = answers.to(Settings(kafka=kafka, postgres=Postgres(dsn=f"postgresql://{mute}/orders")), code=1)
    assert failed["Kafka"] == failed["PostgreSQL"] == "no answer in 0.5 s"


def test_a_listener_in_another_database_is_told(
    well: Settings, postgres_server: servers.Postgres, answers: Answers
) -> None:
    """Notifications stay in their database."""
    with fresh.database(postgres_server.dsn) as (_, elsewhere):
        postgres = Postgres(dsn=well.postgres.dsn, listen_dsn=elsewhere)
        assert answers.to(well.model_copy(update={"postgres": postgres}), code=1) == {
            "notifications": "ORDERS_POSTGRES__LISTEN_DSN leads to another database than ORDERS_POSTGRES__DSN"
        }


def test_a_pooler_that_swallows_notifications_is_told(
    well: Settings, database: str, answers: Answers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor, "CALL_TIMEOUT_SECONDS", 2.0)
    with pgbouncer(database, tmp_path / "pgbouncer.txt") as pooled:
        through = well.model_copy(update={"postgres": Postgres(dsn=pooled)})
        assert answers.to(through, code=1) == {"notifications": "none came in 2 s"}
        direct = well.model_copy(update={"postgres": Postgres(dsn=pooled, listen_dsn=database)})
        assert "through a pooler" in answers.to(direct, code=0)["PostgreSQL"]


def test_a_standby_that_is_to_be_listened_to_is_told(
    well: Settings, own_postgres: "Server", answers: Answers, tmp_path: Path
) -> None:
    with standby(own_postgres, tmp_path / "standby") as behind:
        through = well.model_copy(update={"postgres": Postgres(dsn=behind.dsn)})
        assert answers.to(through, code=1) == {"notifications": "a standby takes no LISTEN"}
        direct = well.model_copy(update={"postgres": Postgres(dsn=behind.dsn, listen_dsn=own_postgres.dsn)})
        assert "a standby" in answers.to(direct, code=0)["PostgreSQL"]


def test_clocks_that_are_apart_are_told(well: Settings, answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "SKEW_SECONDS", -1.0)
    assert "off ours" in answers.to(well, code=1)["clocks"]


def test_properties_that_librdkafka_refuses_are_told(well: Settings, answers: Answers) -> None:
    kafka = well.kafka.model_copy(update={"properties": {"no.such.thing": 1}})
    assert (
        answers.to(well.model_copy(update={"kafka": kafka}), code=1)["Kafka"]
        == "librdkafka has no property no.such.thing"
    )
