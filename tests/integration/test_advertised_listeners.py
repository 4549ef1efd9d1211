"""If a broker advertises a host name that does not resolve, every command reports that address."""

import re
from collections.abc import Iterator

import pytest

from local import broker
from local.ports import free_port
from service.config import KafkaSettings
from service.errors import KafkaRequestFailed
from service.handler.kafka.client.diagnostics import require_kafka
from tests.kit import servers
from tests.kit.processes import Spawn
from tests.kit.waiting import eventually

TIMEOUT_SECONDS = 60.0
UNRESOLVED = r"host name does not resolve( within 2 s)?"
"""A busy name server answers late."""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = free_port()
    advertised = {"advertised.listeners": f"PLAINTEXT://kafka.invalid:{port}"}
    with broker.kafka(tmp_path_factory.mktemp("kafka"), port=port, echo=print, properties=advertised):
        yield port


@pytest.fixture
def settings(port: int, database: str) -> dict[str, str]:
    return {"ORDERS_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{port}", "ORDERS_POSTGRES__DSN": database}


def test_doctor_reports_the_advertised_address(settings: dict[str, str], port: int, spawn: Spawn) -> None:
    doctor = spawn("doctor", settings=settings)
    assert doctor.process.wait(TIMEOUT_SECONDS) == 1
    output = doctor.tail(100)
    assert "✓ Kafka DNS" in output
    # While its only broker is unreachable, the client gets the metadata at times only.
    assert re.search(r"✓ Kafka  +(1 brokers|bootstrap servers answer), PLAINTEXT", output), output
    check = rf"✗ advertised addresses   broker 1 at kafka\.invalid:{port} \({UNRESOLVED}\)"
    assert re.search(check, output), output


def test_migrate_reports_the_advertised_address(settings: dict[str, str], port: int, spawn: Spawn) -> None:
    migrate = spawn("migrate", settings=settings)
    line = re.compile(rf"^broker 1 at kafka\.invalid:{port} \({UNRESOLVED}\)$", re.MULTILINE)
    eventually(lambda: line.search(migrate.tail()), TIMEOUT_SECONDS, "the advertised address is printed")
    assert migrate.stop() == 1


def test_a_command_reports_the_advertised_address(port: int) -> None:
    with pytest.raises(KafkaRequestFailed) as raised:
        require_kafka(KafkaSettings(bootstrap_servers=f"127.0.0.1:{port}"))
    # While its only broker is unreachable, the client gets an answer at times only: either check may find the problem.
    assert re.fullmatch(
        rf"cannot reach .*kafka\.invalid:{port}.*host name does not resolve.* Check .*advertised\.listeners.*",
        str(raised.value),
    )


def test_a_consumer_logs_the_advertised_address(settings: dict[str, str], port: int, spawn: Spawn) -> None:
    consumer = spawn("consumer", settings=settings)
    eventually(lambda: consumer.logged("broker advertises"), TIMEOUT_SECONDS, "broker advertises")
    eventually(lambda: consumer.logged("cannot reach Kafka"), TIMEOUT_SECONDS, "cannot reach Kafka")
    (line, *_) = consumer.logged("broker advertises")
    assert (line["broker"], line["address"]) == (1, f"kafka.invalid:{port}")
    (line, *_) = consumer.logged("cannot reach Kafka")
    assert (line["address"], line["problem"]) == (f"kafka.invalid:{port}", "host name does not resolve")
    assert line["hint"] == "check advertised.listeners of broker 1"


def test_doctor_shows_a_reachable_advertised_address(kafka_server: servers.Kafka, spawn: Spawn, database: str) -> None:
    settings = {"ORDERS_KAFKA__BOOTSTRAP_SERVERS": kafka_server.bootstrap_servers, "ORDERS_POSTGRES__DSN": database}
    doctor = spawn("doctor", settings=settings)
    doctor.process.wait(TIMEOUT_SECONDS)
    assert f"✓ advertised addresses   broker 1 at {kafka_server.bootstrap_servers}\n" in doctor.tail(100)
