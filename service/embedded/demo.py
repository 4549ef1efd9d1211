"""`orders demo`: everything on one machine, with servers of its own, until it is interrupted."""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Final, NamedTuple
from urllib.error import URLError
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from service.embedded import broker, postgres
from service.embedded.ports import free_port, require_free
from service.entities.errors import ServerUnavailable
from service.pkg.stop import Stop, Stopped, stop_at_signals

_HOST: Final = "127.0.0.1"
_READY_SECONDS: Final = 90.0
_STOP_SECONDS: Final = 15.0
_CALL_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.1
_LOG_LINES: Final = 15
_READ_EACH_SECOND: Final = 10
_TOPICS: Final = ("orders", "orders.dlq")
_MIX: Final = ("--invalid", "0.02", "--duplicates", "0.03", "--stale", "0.02")

say = partial(print, flush=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=8000, help="of the API and its page (default: 8000)")
    parser.add_argument("--rate", type=float, default=50, help="orders a second that are generated (default: 50)")
    parser.add_argument("--duration", type=float, metavar="S", help="end after so many seconds (default: when stopped)")
    parser.add_argument("--bootstrap-servers", help="use this Kafka instead of one of its own")
    parser.add_argument("--dsn", help="use this PostgreSQL instead of one of its own")
    parser.add_argument(
        "--broker",
        choices=("kafka", "mock"),
        help="its own broker (default: Apache Kafka, or librdkafka's mock cluster where that can't be had)",
    )


def run(args: argparse.Namespace) -> int:
    """Start all, tell what flows once a second, stop all in reverse; return the exit code. Raises ServerUnavailable."""
    stop = stop_at_signals()
    require_free(args.port, "the API (--port)")
    with (
        suppress(Stopped),
        tempfile.TemporaryDirectory(prefix="orders-demo-") as folder,
        ExitStack() as running,
    ):
        demo = Demo(Path(folder), args, stop)
        demo.start(running)
        demo.watch()
    say("stopped: no process and no port is left")
    return 0


@dataclass(slots=True)
class Child:
    """One of our commands, in a process of its own whose output goes to a file."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def require_alive(self) -> None:
        if (code := self.process.poll()) is not None:
            raise ServerUnavailable(f"{self.name} ended with {code}:\n{self.tail()}")

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-_LOG_LINES:])

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Flow(NamedTuple):
    """What was counted since the start; a difference of two is what flowed between them."""

    stored: float
    dead_letters: float
    hits: float
    misses: float


@dataclass(slots=True)
class Demo:
    folder: Path
    args: argparse.Namespace
    stop: Stop
    children: list[Child] = field(default_factory=list)
    has_admin: bool = True
    consumer_admin: int = field(default_factory=free_port)
    api_admin: int = field(default_factory=free_port)

    def start(self, running: ExitStack) -> None:
        environment = {
            **os.environ,
            "ORDERS_POSTGRES__DSN": self._database(running),
            "ORDERS_KAFKA__BOOTSTRAP_SERVERS": self._broker(running),
            "ORDERS_HTTP__PORT": str(self.args.port),
            "ORDERS_HTTP__HOST": _HOST,
            "ORDERS_ADMIN__HOST": _HOST,
            "ORDERS_KAFKA__CREATE_TOPICS": str(self.has_admin).lower(),
            "ORDERS_LOG__FORMAT": "text",
        }
        say(f"logs are in {self.folder}")
        self._migrate(environment)
        self._spawn(running, environment | {"ORDERS_ADMIN__PORT": str(self.consumer_admin)}, "consumer")
        self._spawn(running, environment | {"ORDERS_ADMIN__PORT": str(self.api_admin)}, "api")
        self._await_ready()
        self._spawn(running, environment, "generate", "--count", "0", "--rate", str(self.args.rate), *_MIX)
        say(f"the page, the API and its /docs (Ctrl-C stops everything):\n{self.url}")

    @property
    def url(self) -> str:
        return f"http://{_HOST}:{self.args.port}"

    def watch(self) -> None:
        """Print a line a second until asked to stop. Raises ServerUnavailable when a child ends by itself."""
        began, last = monotonic(), self._flow()
        while not self.stop.wait(1.0) and not self._is_over(began):
            for child in self.children:
                child.require_alive()
            self._read_some()
            now = self._flow()
            say(_line(now, last))
            last = now

    def _is_over(self, began: float) -> bool:
        return self.args.duration is not None and monotonic() - began >= self.args.duration

    def _database(self, running: ExitStack) -> str:
        if self.args.dsn:
            return str(self.args.dsn)
        server = running.enter_context(postgres.postgres(self.folder / "postgresql", stop=self.stop))
        say("PostgreSQL runs, from a package")
        return server.dsn

    def _broker(self, running: ExitStack) -> str:
        if self.args.bootstrap_servers:
            return str(self.args.bootstrap_servers)
        server = self._mock(running) if self.args.broker == "mock" else self._kafka_or_mock(running)
        say(f"{server.kind} runs")
        return server.bootstrap_servers

    def _kafka_or_mock(self, running: ExitStack) -> broker.Broker | broker.MockCluster:
        try:
            return running.enter_context(broker.kafka(self.folder / "kafka", say=say, stop=self.stop))
        except ServerUnavailable as obstacle:
            if self.args.broker == "kafka":
                raise
            say(f"Apache Kafka can't be had here: {obstacle}")
            return self._mock(running)

    def _mock(self, running: ExitStack) -> broker.MockCluster:
        say(f"librdkafka's mock cluster stands in for Kafka: {broker.MOCK_LIMITS}")
        self.has_admin = False
        return running.enter_context(broker.mock(_TOPICS))

    def _migrate(self, environment: Mapping[str, str]) -> None:
        log = self.folder / "migrate.log"
        with log.open("wb") as output:
            command = [sys.executable, "-m", "service", "migrate"]
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)  # noqa: S603 - ours
        child = Child("migrate", process, log)
        if process.wait():
            raise ServerUnavailable(f"the migration failed:\n{child.tail()}")

    def _spawn(self, running: ExitStack, environment: Mapping[str, str], *arguments: str) -> None:
        log = self.folder / f"{arguments[0]}.log"
        with log.open("wb") as output:
            command = [sys.executable, "-m", "service", *arguments]
            # A session of its own: Ctrl-C reaches us alone, and we stop the children in order.
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)  # noqa: S603 - ours
        child = Child(arguments[0], process, log)
        self.children.append(child)
        running.callback(child.stop)

    def _await_ready(self) -> None:
        deadline = monotonic() + _READY_SECONDS
        while not (_is_ready(self.api_admin) and _is_ready(self.consumer_admin)):
            for child in self.children:
                child.require_alive()
            if monotonic() > deadline:
                raise ServerUnavailable(f"not ready within {_READY_SECONDS:g} s:\n{self.children[-1].tail()}")
            self.stop.sleep(_LOOK_SECONDS)

    def _flow(self) -> Flow:
        consumer, api = _metrics(self.consumer_admin), _metrics(self.api_admin)
        return Flow(
            consumer.get("orders_stored_total", 0),
            consumer.get("orders_dead_letters_total", 0),
            api.get("orders_cache_hits_total", 0),
            api.get("orders_cache_misses_total", 0),
        )

    def _read_some(self) -> None:
        """Read the newest orders as a visitor would, so that the cache has something to do."""
        for order in _get_json(f"{self.url}/orders?limit={_READ_EACH_SECOND}").get("orders", []):
            _get_json(f"{self.url}/orders/{order['order_uid']}")


def _line(now: Flow, last: Flow) -> str:
    return (
        f"stored {now.stored - last.stored:5.0f}/s, {now.stored:8.0f} in all | dead letters {now.dead_letters:6.0f} | "
        f"cache: {now.hits:.0f} hits, {now.misses:.0f} misses"
    )


def _metrics(port: int) -> dict[str, float]:
    """Return each counter's sum over its labels; empty where nobody answers."""
    sums: dict[str, float] = {}
    try:
        with urlopen(f"http://{_HOST}:{port}/metrics", timeout=_CALL_SECONDS) as answer:
            text = answer.read().decode()
    except (URLError, TimeoutError):
        return sums
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0) + sample.value
    return sums


def _get_json(url: str) -> dict[str, Any]:
    try:
        with urlopen(url, timeout=_CALL_SECONDS) as answer:  # noqa: S310 - our own address
            document: dict[str, Any] = json.load(answer)
            return document
    except (URLError, TimeoutError):
        return {}


def _is_ready(port: int) -> bool:
    try:
        with urlopen(f"http://{_HOST}:{port}/readyz", timeout=_CALL_SECONDS):
            return True
    except (URLError, TimeoutError):
        return False
