"""A broker that advertises a name that does not resolve: everybody who asks it is sent there, and names it."""

from collections.abc import Iterator

import pytest

from local import broker
from local.ports import free_port
from service.errors import CommandError
from service.handler.kafka.client.connection_errors import require_kafka
from tests import servers
from tests.processes import Spawn
from tests.waiting import eventually

SECONDS = 60.0


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = free_port()
    advertised = {"advertised.listeners": f"PLAINTEXT://kafka.invalid:{port}"}
    with broker.kafka(tmp_path_factory.mktemp("kafka"), port=port, echo=print, properties=advertised):
        yield port


@pytest.fixture
def settings(port: int, database: str) -> dict[str, str]:
    return {"ORDERS_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{port}", "ORDERS_POSTGRES__DSN": database}


def test_doctor_names_it(settings: dict[str, str], port: int, spawn: Spawn) -> None:
    doctor = spawn("doctor", settings=settings)
    assert doctor.process.wait(SECONDS) == 1
    told = f"advertised addresses   broker 1 at kafka.invalid:{port} (host name does not resolve)\n"
    assert f"✗ {told}" in doctor.tail(100)
    assert "✓ Kafka" in doctor.tail(100)


def test_migrate_names_it(settings: dict[str, str], port: int, spawn: Spawn) -> None:
    migrate = spawn("migrate", settings=settings | {"ORDERS_MIGRATION__DEADLINE": "5s"})
    assert migrate.process.wait(SECONDS) == 1
    assert f"broker 1 at kafka.invalid:{port} (host name does not resolve)" in migrate.tail().splitlines()


def test_a_command_names_it(port: int) -> None:
    with pytest.raises(CommandError) as refused:
        require_kafka({"bootstrap.servers": f"127.0.0.1:{port}"})
    assert str(refused.value) == (
        "cannot reach any broker at its advertised address: "
        f"broker 1 at kafka.invalid:{port} (host name does not resolve). Check the brokers' advertised.listeners."
    )


def test_the_log_of_a_consumer_names_it(settings: dict[str, str], port: int, spawn: Spawn) -> None:
    consumer = spawn("consumer", settings=settings)
    eventually(lambda: consumer.logged("broker advertises"), SECONDS, "the address is tried")
    eventually(lambda: consumer.logged("cannot reach Kafka"), SECONDS, "the client is sent there")
    (line, *_) = consumer.logged("broker advertises")
    assert (line["broker"], line["address"]) == (1, f"kafka.invalid:{port}")
    (line, *_) = consumer.logged("cannot reach Kafka")
    assert (line["address"], line["problem"]) == (f"kafka.invalid:{port}", "host name does not resolve")
    assert line["check"] == "advertised.listeners of broker 1"


def test_a_broker_that_is_right_is_named_too(kafka_server: servers.Kafka, spawn: Spawn, database: str) -> None:
    right = {"ORDERS_KAFKA__BOOTSTRAP_SERVERS": kafka_server.bootstrap_servers, "ORDERS_POSTGRES__DSN": database}
    doctor = spawn("doctor", settings=right)
    doctor.process.wait(SECONDS)
    assert f"✓ advertised addresses   broker 1 at {kafka_server.bootstrap_servers}\n" in doctor.tail(100)
