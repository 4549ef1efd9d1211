"""`orders demo`: runs everything on one machine, with its own Kafka and PostgreSQL, until interrupted."""

import argparse
import json
import os
import secrets
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar
from urllib.request import Request, urlopen

from prometheus_client.parser import text_string_to_metric_families

from local import broker, postgres
from local.commands import Commands, ReloadedCommands
from local.guide import Running, guide
from local.outages import Outages
from local.ports import HOST, free_port, require_free
from local.sources import Sources
from service.errors import ServerUnavailable, Stopped, UsageError
from service.pkg.argtypes import duration_or_seconds, port, positive_float
from service.pkg.exit_codes import ExitCode
from service.pkg.shutdown_event import ShutdownEvent

if TYPE_CHECKING:
    from service.config import Settings

_HTTP_TIMEOUT_SECONDS: Final = 2.0
_PRINT_INTERVAL_SECONDS: Final = 1.0
_NEW_ORDERS_PER_SECOND: Final = 10
_READS_PER_SECOND: Final = 50
"""Reads of the newest orders, which miss the cache, and of earlier ones, which hit it."""
_TOPICS: Final = ("orders", "orders.dlq")

T = TypeVar("T")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=port, default=8000, help="port of the API and the web page (default: 8000)")
    parser.add_argument("--rate", type=positive_float, default=50, help="orders to generate per second (default: 50)")
    parser.add_argument(
        "--duration",
        type=duration_or_seconds,
        metavar="DURATION",
        help="stop after this long, such as 10m (default: run until interrupted)",
    )
    parser.add_argument("--bootstrap-servers", help="use this Kafka instead of starting one")
    parser.add_argument("--dsn", help="use this PostgreSQL instead of starting one")
    parser.add_argument(
        "--reload", action="store_true", help="restart everything except the servers when the source code changes"
    )
    parser.add_argument(
        "--keys", action="store_true", help="require an API key, and print it; enables the dead-letter endpoints"
    )
    parser.add_argument(
        "--broker",
        choices=("kafka", "mock"),
        help="broker to start (default: Apache Kafka, or librdkafka's mock cluster if Kafka cannot be started)",
    )


def echo(line: str) -> None:
    """Print a line. Raises Stopped if standard output is a broken pipe or a closed terminal."""
    try:
        print(line, flush=True)  # noqa: T201 - the demo's output
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # discards buffered output
        raise Stopped from None


def run(args: argparse.Namespace, settings: "Settings", stop: ShutdownEvent) -> int:
    """Start everything, print statistics every second, stop; return the exit code.

    Raises ServerUnavailable, UsageError.
    """
    stop.set_at_signals()
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # ignored under nohup
        signal.signal(signal.SIGHUP, lambda *_: stop.set())
    require_free(
        args.port, "the API", f"Choose another port with --port, such as make demo ARGS='--port {free_port()}'"
    )
    with (
        suppress(Stopped),
        tempfile.TemporaryDirectory(prefix="orders-demo-") as folder,
        ExitStack() as running,
    ):
        demo = Demo(Path(folder), args, stop, running, exactly_once=settings.dead_letters.exactly_once)
        demo.print_statistics(demo.start())
    echo("stopped all processes")
    return ExitCode.DONE


class Counters(NamedTuple):
    """Counters at one time; the rates are computed from two of these."""

    at: float
    """time.monotonic()"""
    stored: float
    dead_letters: float
    hits: float
    misses: float


@dataclass(slots=True)
class Demo:
    folder: Path
    args: argparse.Namespace
    stop: ShutdownEvent
    running: ExitStack
    """Stops everything in reverse order."""
    exactly_once: bool = False
    """Whether dead letters are sent in transactions."""
    key: str = field(default_factory=secrets.token_urlsafe)
    outages: Outages = field(default_factory=Outages)
    read: list[str] = field(default_factory=list)
    """Uids of the orders that were read last."""

    def start(self) -> Commands:
        """Start everything; return when orders are being generated. Raises ServerUnavailable, Stopped."""
        servers = {**self._database(), **self._broker(), **self._keys()}
        environment = {
            **os.environ,
            **servers,
            "ORDERS_HTTP__PORT": str(self.args.port),
            "ORDERS_HTTP__HOST": HOST,
            "ORDERS_ADMIN__HOST": HOST,
            "ORDERS_LOG__FORMAT": "text",
        }
        echo(f"logs: {self.folder}")
        commands = self.running.enter_context(self._commands(environment))
        commands.start()
        for line in guide(self._running(servers, commands)):
            echo(line)
        return commands

    def _running(self, servers: Mapping[str, str], commands: Commands) -> Running:
        return Running(
            url=self.url,
            started={
                name: value
                for name, value in servers.items()
                if value not in {self.args.dsn, self.args.bootstrap_servers}
            },
            metrics={"consumer": commands.consumer_admin, "API": commands.api_admin},
            orders=os.path.relpath(Path(sys.executable).with_name("orders")),
            key=self.key if self.args.keys else "",
        )

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.args.port}"

    def print_statistics(self, commands: Commands) -> None:
        """Print a line a second until stopped. Raises ServerUnavailable if a command exits."""
        started_at, last = monotonic(), self._observe(commands)
        while not self.stop.wait(_PRINT_INTERVAL_SECONDS) and not self._is_over(started_at):
            commands.require_alive()
            now = self._observe(commands)
            if now and last:
                echo(format_line(now, last) + self.outages.mark)
            last = now or last

    def _is_over(self, started_at: float) -> bool:
        return self.args.duration is not None and monotonic() - started_at >= self.args.duration

    def _database(self) -> Mapping[str, str]:
        if self.args.dsn:
            return {"ORDERS_POSTGRES__DSN": self.args.dsn}
        # Without fsync, because its data is deleted at the end.
        database = postgres.postgres(self.folder / "postgresql", fsync=False, stop=self.stop)
        server = self.running.enter_context(database)
        echo("started PostgreSQL")
        return {"ORDERS_POSTGRES__DSN": server.dsn}

    def _broker(self) -> Mapping[str, str]:
        if self.args.bootstrap_servers:
            return {"ORDERS_KAFKA__BOOTSTRAP_SERVERS": self.args.bootstrap_servers}
        return self._mock() if self.args.broker == "mock" else self._kafka_or_mock()

    def _keys(self) -> Mapping[str, str]:
        if not self.args.keys:
            return {}
        path = self.folder / "keys"
        path.touch(mode=0o600)
        path.write_text(f"demo read,dead-letters,replay {self.key}\n")
        return {"ORDERS_AUTH__KEYS_FILE": str(path)}

    def _kafka_or_mock(self) -> Mapping[str, str]:
        try:
            server = self.running.enter_context(broker.kafka(self.folder / "kafka", echo=echo, stop=self.stop))
        except ServerUnavailable as error:
            if self.args.broker == "kafka":
                raise
            echo(f"cannot start Apache Kafka: {error}")
            return self._mock()
        echo(f"started {server.kind}")
        return {"ORDERS_KAFKA__BOOTSTRAP_SERVERS": server.bootstrap_servers}

    def _mock(self) -> Mapping[str, str]:
        if self.exactly_once:
            raise UsageError("ORDERS_DEAD_LETTERS__EXACTLY_ONCE: librdkafka's mock cluster does not support it")
        server = self.running.enter_context(broker.mock(_TOPICS))
        echo(f"started {server.kind} instead of Kafka: {broker.MOCK_LIMITS}")
        return {
            "ORDERS_KAFKA__BOOTSTRAP_SERVERS": server.bootstrap_servers,
            # The mock cluster supports neither.
            "ORDERS_KAFKA__CREATE_TOPICS": "false",
            "ORDERS_KAFKA__TOPIC_ID_TIMEOUT": "0",
        }

    def _commands(self, environment: Mapping[str, str]) -> Commands:
        if self.args.reload:
            return ReloadedCommands(self.folder, environment, self.args.rate, self.stop, Sources(), echo)
        return Commands(self.folder, environment, self.args.rate, self.stop)

    def _observe(self, commands: Commands) -> Counters | None:
        """Print lost and restored connections; return the counters, None if consumer or API does not respond."""
        self._read_orders()
        stats = self._query("api", lambda: self._json("/stats"))
        for change in self.outages.note_dependencies(stats["dependencies"] if stats else {}):
            echo(change)
        consumer = self._query("consumer", lambda: _scrape(commands.consumer_admin))
        api = self._query("api", lambda: _scrape(commands.api_admin)) if stats else None
        return None if consumer is None or api is None else _counters(consumer, api)

    def _query(self, name: str, request: Callable[[], T]) -> T | None:
        """Return the response, or None if there is none; print a message when that changes."""
        try:
            response = request()
        except (OSError, HTTPException):
            response = None
        for change in self.outages.note(name, is_up=response is not None):
            echo(change)
        return response

    def _read_orders(self) -> None:
        """Read the newest orders, and earlier ones again; stop at the first error."""
        with suppress(OSError, HTTPException):
            newest = [order["order_uid"] for order in self._json(f"/orders?limit={_NEW_ORDERS_PER_SECOND}")["orders"]]
            self.read = [*dict.fromkeys([*newest, *self.read])][:_READS_PER_SECOND]
        with suppress(OSError, HTTPException):
            for uid in self.read:
                self._json(f"/orders/{uid}")

    def _json(self, path: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(_get(f"{self.url}{path}", self.key))
        return document


def _counters(consumer: Mapping[str, float], api: Mapping[str, float]) -> Counters:
    return Counters(
        monotonic(),
        consumer.get("orders_stored_total", 0),
        consumer.get("orders_dead_letters_total", 0),
        api.get("orders_cache_hits_total", 0),
        api.get("orders_cache_misses_total", 0),
    )


def format_line(now: Counters, last: Counters) -> str:
    return (
        f"stored {_rate(now, last)}/s, {now.stored:8.0f} total | dead letters {now.dead_letters:6.0f} | "
        f"cache: {now.hits:.0f} hits, {now.misses:.0f} misses"
    )


def _rate(now: Counters, last: Counters) -> str:
    """Return the rate of stored orders; a hyphen after a reload, which resets the consumer's counters."""
    if now.stored < last.stored:
        return f"{'-':>5}"
    return f"{(now.stored - last.stored) / (now.at - last.at):5.0f}"


def _scrape(port: int) -> dict[str, float]:
    """Return each metric, summed over its labels. Raises OSError."""
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(_get(f"http://{HOST}:{port}/metrics")):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0) + sample.value
    return sums


def _get(url: str, key: str = "") -> str:
    """Return the response body. Raises OSError, also for an error status."""
    request = Request(url, headers={"X-API-Key": key})  # noqa: S310 - a loopback address
    with urlopen(request, timeout=_HTTP_TIMEOUT_SECONDS) as response:  # noqa: S310
        text: str = response.read().decode()
        return text
