"""Apache Kafka on this machine, or where that can't be had, librdkafka's imitation of it."""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient

from local import jars
from local.java import java
from local.ports import HOST, free_port, require_free
from local.process import Process
from service.pkg.polling import Echo
from service.pkg.shutdown_event import ShutdownEvent

MOCK_LIMITS: Final = (
    "it keeps 5 MiB a partition and drops older messages silently, has 4 partitions a topic, shows aborted "
    "transactions, and answers no admin request: fit for this demo's rate, never for a delivery guarantee"
)

_CLUSTER_ID: Final = "b3JkZXJzLWVtYmVkZGVkIQ"  # any 16 bytes, in base64
_FORMAT_SECONDS: Final = 60.0
_START_SECONDS: Final = 90.0  # 2-4 s on an idle machine, 17 s on a loaded one
_ANSWER_SECONDS: Final = 1.0
_MOCK_SECONDS: Final = 10.0

# Connections that are refused until it is there are no news, and none of them is waited on for long.
_PATIENT: Final = {"log_level": 2, "reconnect.backoff.max.ms": 200}

_PROPERTIES: Final = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
"""


class Broker:
    """One broker whose port and data stay when it is stopped, or killed, and started again."""

    def __init__(self, process: Process, port: int, stop: ShutdownEvent) -> None:
        self._process = process
        self._stop = stop
        self.bootstrap_servers = f"{HOST}:{port}"
        self.kind = f"Apache Kafka {jars.version_of_kafka()}"

    def start(self) -> None:
        """Block until it answers a metadata request. Raises ServerUnavailable; Stopped."""
        self._process.start()
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers, **_PATIENT})
        self._process.wait_until(partial(_has_broker, admin), _START_SECONDS, self._stop)

    def stop(self) -> None:
        """Let it write everything out; blocks until it is gone."""
        self._process.stop()

    def kill(self) -> None:
        """SIGKILL it; blocks until it is gone."""
        self._process.kill()

    def freeze(self) -> None:
        """Let it keep its connections and answer nothing."""
        self._process.freeze()

    def thaw(self) -> None:
        self._process.thaw()


class MockCluster(NamedTuple):
    bootstrap_servers: str
    kind: str = "librdkafka mock cluster"


@contextmanager
def kafka(
    folder: Path,
    *,
    port: int = 0,
    echo: Echo,
    stop: ShutdownEvent | None = None,
    properties: Mapping[str, str] | None = None,
) -> Iterator[Broker]:
    """Run Apache Kafka on a port of the loopback address, 0 being a free one; takes 3-10 s once its jars are here.

    It creates no topics. Its logs stay in `folder`; its data is deleted at the end. `properties` override the defaults.
    Raises ServerUnavailable where it can't be had; Stopped when `stop` is set before it is ready.
    """
    port = port or free_port()
    require_free(port, "Apache Kafka")
    stop = stop or ShutdownEvent()
    folder.mkdir(parents=True, exist_ok=True)
    java_with_jars = [str(java()), "-cp", os.pathsep.join(map(str, jars.fetched(echo, stop)))]
    with tempfile.TemporaryDirectory(prefix="kafka-", dir=folder) as name:
        home = Path(name)
        path = _write_properties(home, port, properties or {})
        _format(java_with_jars, path, folder / "format.log", stop)
        broker = Broker(_server(java_with_jars, path, folder / "kafka.log"), port, stop)
        try:
            broker.start()
            yield broker
        finally:
            broker.stop()


@contextmanager
def mock(topics: Sequence[str] = ()) -> Iterator[MockCluster]:
    """Run librdkafka's mock cluster, of one broker, inside this process; `topics` are there with 4 partitions each.

    Other processes can use it. It keeps 5 MiB a partition and drops older messages without an error, has no admin
    requests and no lookup by time, and shows aborted transactions to every reader: for a demo and for unit tests.
    """
    producer = Producer({"test.mock.num.brokers": 1, "log_level": 4})  # it would announce itself
    for topic in topics:
        producer.list_topics(topic, timeout=_MOCK_SECONDS)  # asking for one makes it
    brokers = producer.list_topics(timeout=_MOCK_SECONDS).brokers.values()
    yield MockCluster(",".join(f"{broker.host}:{broker.port}" for broker in brokers))
    producer.flush(0)  # and it lives until here


def _write_properties(home: Path, port: int, more: Mapping[str, str]) -> Path:
    """Write the defaults first: Java uses the last value of a repeated name."""
    path = home / "server.properties"
    ours = _PROPERTIES.format(host=HOST, port=port, controller=free_port(), data=home / "data")
    path.write_text(ours + "".join(f"{name}={value}\n" for name, value in more.items()))
    return path


def _format(java_with_jars: Sequence[str], properties: Path, log: Path, stop: ShutdownEvent) -> None:
    brief = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
    command = [*java_with_jars, *brief, "kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", str(properties)]
    Process("the formatting of Kafka's storage", command, log).run(_FORMAT_SECONDS, stop)


def _server(java_with_jars: Sequence[str], properties: Path, log: Path) -> Process:
    options = [
        "-Xms128m",
        "-Xmx512m",
        "-XX:+UseSerialGC",
        "-XX:-UsePerfData",  # like the next one: nothing is left elsewhere
        f"-Djava.io.tmpdir={properties.parent}",
        "-Dlog4j2.level=WARN",
    ]
    return Process("Apache Kafka", [*java_with_jars, *options, "kafka.Kafka", str(properties)], log)


def _has_broker(admin: AdminClient) -> bool:
    try:
        return bool(admin.list_topics(timeout=_ANSWER_SECONDS).brokers)
    except KafkaException:
        return False
