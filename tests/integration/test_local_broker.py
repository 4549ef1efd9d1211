"""The Kafka broker that runs as a local process."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from socket import socket

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from local import jars
from local.broker import Broker, MockCluster, kafka, mock
from local.ports import HOST, is_free
from service.errors import ServerUnavailable, Stopped
from service.pkg.shutdown_event import ShutdownEvent
from tests.kit.waiting import eventually

pytestmark = pytest.mark.integration

TIMEOUT_SECONDS = 30.0


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker with one message in the topic `kept`."""
    with kafka(tmp_path / "kafka", echo=print) as broker:
        admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
        admin.create_topics([NewTopic("kept", 1, 1)])["kept"].result(TIMEOUT_SECONDS)
        send(broker, "kept", b"42")
        yield broker


def send(server: Broker | MockCluster, topic: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": server.bootstrap_servers})
    producer.produce(topic, value, partition=0)
    assert producer.flush(TIMEOUT_SECONDS) == 0


def first(server: Broker | MockCluster, topic: str) -> bytes | None:
    consumer = Consumer({"bootstrap.servers": server.bootstrap_servers, "group.id": "unused"})
    with closing(consumer):
        consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        message = consumer.poll(TIMEOUT_SECONDS)
        assert message
        return message.value()


def responds(server: Broker) -> bool:
    admin = AdminClient({"bootstrap.servers": server.bootstrap_servers, "log_level": 2})
    try:
        return bool(admin.list_topics(timeout=2).brokers)
    except KafkaException:
        return False


def test_a_killed_or_stopped_broker_restarts_with_its_port_and_data(broker: Broker) -> None:
    broker.kill()
    assert not responds(broker)
    broker.start()
    assert first(broker, "kept") == b"42"
    broker.stop()
    assert not responds(broker)
    broker.start()
    assert first(broker, "kept") == b"42"


def test_a_frozen_broker_does_not_respond_until_it_is_thawed(broker: Broker) -> None:
    broker.freeze()
    assert not responds(broker)
    broker.thaw()
    eventually(lambda: responds(broker))


def test_topics_are_not_created_automatically(broker: Broker) -> None:
    consumer = Consumer(
        {"bootstrap.servers": broker.bootstrap_servers, "group.id": "t", "allow.auto.create.topics": True}
    )
    with closing(consumer):
        assert consumer.list_topics("missing", timeout=TIMEOUT_SECONDS).topics["missing"].error


def test_a_stopped_broker_leaves_only_logs_even_if_it_was_frozen(tmp_path: Path) -> None:
    with kafka(tmp_path, echo=print) as broker:
        broker.freeze()
    assert {path.name for path in tmp_path.iterdir()} == {"format.log", "kafka.log"}
    assert is_free(int(broker.bootstrap_servers.rpartition(":")[2]))


def test_the_kind_of_a_broker_includes_the_version(broker: Broker) -> None:
    assert broker.kind == f"Apache Kafka {jars.version_of_kafka()}"


def test_a_port_in_use_is_reported(tmp_path: Path) -> None:
    with closing(socket()) as listener:
        listener.bind((HOST, 0))
        listener.listen()
        port = listener.getsockname()[1]
        with (
            pytest.raises(ServerUnavailable, match=f"port {port} for Apache Kafka: address already in use"),
            kafka(tmp_path, port=port, echo=print),
        ):
            pass


def test_a_shutdown_request_aborts_the_start(tmp_path: Path) -> None:
    stop = ShutdownEvent()
    stop.set()
    with pytest.raises(Stopped), kafka(tmp_path, echo=print, stop=stop):
        pass
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


@pytest.mark.skipif(not shutil.which("mvn"), reason="needs mvn")
def test_maven_downloads_jars_into_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jars, "_use_maven_artifact", lambda *_: pytest.fail("Maven failed"))
    small = [jar for jar in jars.read_list() if jar.artifact in {"jspecify", "re2j"}]
    jars.download(small, tmp_path, ShutdownEvent())
    assert {path.name for path in tmp_path.iterdir()} == {jar.file_name for jar in small}


def test_without_maven_and_java_the_broker_runs_from_python_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All jars but one are cached, to download as little as possible."""
    for jar in jars.download_missing(print, ShutdownEvent()):
        if not jar.name.startswith("jspecify"):
            (tmp_path / "orders" / "jars").mkdir(parents=True, exist_ok=True)
            shutil.copy(jar, tmp_path / "orders" / "jars")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    lines: list[str] = []
    with kafka(tmp_path / "kafka", echo=lines.append) as broker:
        assert responds(broker)
    assert [line.partition(" of ")[0] for line in lines] == ["downloading 1 jars"]


def test_the_mock_cluster_has_the_given_topics() -> None:
    with mock(["orders"]) as cluster:
        send(cluster, "orders", b"42")
        assert first(cluster, "orders") == b"42"
        assert cluster.kind == "librdkafka mock cluster"
