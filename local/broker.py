"""A local Apache Kafka broker, or librdkafka's mock cluster."""

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
from local.process import Process, running
from service.pkg.output import Echo
from service.pkg.shutdown_event import ShutdownEvent

MOCK_LIMITS: Final = (
    "it keeps 5 MiB per partition and silently drops older messages, has 4 partitions per topic, returns aborted "
    "transactions, and supports no admin requests, so it gives no delivery guarantee"
)

_CLUSTER_ID: Final = "b3JkZXJzLWVtYmVkZGVkIQ"  # any 16 bytes, in base64
_FORMAT_TIMEOUT_SECONDS: Final = 60.0
_STARTUP_TIMEOUT_SECONDS: Final = 90.0  # 2-4 s on an idle machine, 17 s on a loaded one
_METADATA_TIMEOUT_SECONDS: Final = 1.0
_MOCK_TIMEOUT_SECONDS: Final = 10.0

# Until the broker has started, refused connections are expected: do not log them, and reconnect soon.
_STARTUP_CLIENT: Final = {"log_level": 2, "reconnect.backoff.max.ms": 200}

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
    """One broker. It can be stopped or killed, and started again on the same port with the same data."""

    def __init__(self, process: Process, port: int, stop: ShutdownEvent) -> None:
        self._process = process
        self._stop = stop
        self.bootstrap_servers = f"{HOST}:{port}"
        self.kind = f"Apache Kafka {jars.version_of_kafka()}"

    def start(self) -> None:
        """Block until the broker responds to a metadata request. Raises ServerUnavailable, Stopped."""
        self._process.start()
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers, **_STARTUP_CLIENT})
        self._process.wait_until(partial(_has_broker, admin), _STARTUP_TIMEOUT_SECONDS, self._stop)

    def stop(self) -> None:
        """Shut down cleanly; block until the broker has exited."""
        self._process.stop()

    def kill(self) -> None:
        """Send SIGKILL; block until the broker has exited."""
        self._process.kill()

    def freeze(self) -> None:
        """Suspend the broker: its connections stay open, but it does not respond."""
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
    """Run Apache Kafka on `port` of the loopback address (0: a free one). Takes 3-10 s if its jars are cached.

    The broker has no topics. Its logs stay in `folder`; its data is deleted at the end. `properties` override the
    defaults. Raises ServerUnavailable if the broker cannot be started, Stopped if `stop` is set before it is ready.
    """
    port = port or free_port()
    require_free(port, "Apache Kafka")
    stop = stop or ShutdownEvent()
    folder.mkdir(parents=True, exist_ok=True)
    java_with_jars = [str(java()), "-cp", os.pathsep.join(map(str, jars.download_missing(echo, stop)))]
    with tempfile.TemporaryDirectory(prefix="kafka-", dir=folder) as name:
        home = Path(name)
        path = _write_properties(home, port, properties or {})
        _format(java_with_jars, path, folder / "format.log", stop)
        with running(Broker(_server(java_with_jars, path, folder / "kafka.log"), port, stop)) as broker:
            yield broker


@contextmanager
def mock(topics: Sequence[str] = ()) -> Iterator[MockCluster]:
    """Run librdkafka's mock cluster with one broker in this process, and create `topics` with 4 partitions each.

    Other processes can connect to it. It keeps 5 MiB per partition and silently drops older messages, supports neither
    admin requests nor lookup by timestamp, and returns aborted transactions: for the demo and for unit tests only.
    """
    producer = Producer({"test.mock.num.brokers": 1, "log_level": 4})  # below 5: it logs its own start
    for topic in topics:
        producer.list_topics(topic, timeout=_MOCK_TIMEOUT_SECONDS)  # creates the topic
    brokers = producer.list_topics(timeout=_MOCK_TIMEOUT_SECONDS).brokers.values()
    yield MockCluster(",".join(f"{broker.host}:{broker.port}" for broker in brokers))
    producer.flush(0)  # keeps a reference until here: the cluster ends with its producer


def _write_properties(home: Path, port: int, overrides: Mapping[str, str]) -> Path:
    """Write the defaults first: Java uses the last value of a repeated name."""
    path = home / "server.properties"
    defaults = _PROPERTIES.format(host=HOST, port=port, controller=free_port(), data=home / "data")
    path.write_text(defaults + "".join(f"{name}={value}\n" for name, value in overrides.items()))
    return path


def _format(java_with_jars: Sequence[str], properties: Path, log: Path, stop: ShutdownEvent) -> None:
    fast_startup = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
    tool = ["kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", str(properties)]
    Process("kafka-storage format", [*java_with_jars, *fast_startup, *tool], log).run(_FORMAT_TIMEOUT_SECONDS, stop)


def _server(java_with_jars: Sequence[str], properties: Path, log: Path) -> Process:
    options = [
        "-Xms128m",
        "-Xmx512m",
        "-XX:+UseSerialGC",
        "-XX:-UsePerfData",  # like the next option: write no files outside the folder
        f"-Djava.io.tmpdir={properties.parent}",
        "-Dlog4j2.level=WARN",
    ]
    return Process("Apache Kafka", [*java_with_jars, *options, "kafka.Kafka", str(properties)], log)


def _has_broker(admin: AdminClient) -> bool:
    try:
        return bool(admin.list_topics(timeout=_METADATA_TIMEOUT_SECONDS).brokers)
    except KafkaException:
        return False
