"""`orders demo`: everything on one machine, with servers of its own, until it is interrupted."""

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
from typing import Any, Final, NamedTuple, TypeVar
from urllib.request import Request, urlopen

from prometheus_client.parser import text_string_to_metric_families

from local import broker, postgres
from local.commands import Commands, ReloadedCommands
from local.outages import Outages
from local.ports import HOST, require_free
from local.sources import Sources
from service.entities.errors import ServerUnavailable
from service.pkg.argtypes import port, positive
from service.pkg.shutdown_event import ShutdownEvent, Stopped, stop_at_signals

_CALL_SECONDS: Final = 2.0
_LINE_SECONDS: Final = 1.0
_NEWEST_EACH_SECOND: Final = 10
_READ_EACH_SECOND: Final = 50
"""The newest, which are not in memory yet, and those of the seconds before, which are."""
_TOPICS: Final = ("orders", "orders.dlq")

T = TypeVar("T")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=port, default=8000, help="of the API and its page (default: 8000)")
    parser.add_argument("--rate", type=positive, default=50, help="orders a second that are generated (default: 50)")
    parser.add_argument(
        "--duration", type=positive, metavar="S", help="end after so many seconds (default: when stopped)"
    )
    parser.add_argument("--bootstrap-servers", help="use this Kafka instead of one of its own")
    parser.add_argument("--dsn", help="use this PostgreSQL instead of one of its own")
    parser.add_argument("--reload", action="store_true", help="begin anew, on the same servers, when the code changes")
    parser.add_argument("--keys", action="store_true", help="ask for an API key, which is printed; shows dead letters")
    parser.add_argument(
        "--broker",
        choices=("kafka", "mock"),
        help="its own broker (default: Apache Kafka, or librdkafka's mock cluster where that can't be had)",
    )


def echo(line: str) -> None:
    """Print it. Raises Stopped where nobody listens any more: a closed pipe, a terminal that hung up."""
    try:
        print(line, flush=True)  # noqa: T201 - this is what the demo is for
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what its buffer still holds
        raise Stopped from None


def run(args: argparse.Namespace, _settings: object = None) -> int:
    """Start all, tell what flows once a second, stop all in reverse; return the exit code. Raises ServerUnavailable."""
    stop = stop_at_signals()
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup's wish
        signal.signal(signal.SIGHUP, lambda *_: stop.set())
    require_free(args.port, "the API (--port)")
    with (
        suppress(Stopped),
        tempfile.TemporaryDirectory(prefix="orders-demo-") as folder,
        ExitStack() as running,
    ):
        demo = Demo(Path(folder), args, stop, running)
        demo.watch(demo.start())
    echo("stopped: no process and no port is left")
    return 0


class Flow(NamedTuple):
    """What was counted since the start; a difference of two is what flowed between them."""

    at: float
    """Of time.monotonic()."""
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
    """Ends what was started, in reverse."""
    key: str = field(default_factory=secrets.token_urlsafe)
    outages: Outages = field(default_factory=Outages)
    read: list[str] = field(default_factory=list)
    """The orders that were read last."""

    def start(self) -> Commands:
        """Return our commands when orders flow. Raises ServerUnavailable; Stopped."""
        environment = {
            **os.environ,
            **self._database(),
            **self._broker(),
            **self._keys(),
            "ORDERS_HTTP__PORT": str(self.args.port),
            "ORDERS_HTTP__HOST": HOST,
            "ORDERS_ADMIN__HOST": HOST,
            "ORDERS_LOG__FORMAT": "text",
        }
        echo(f"logs are in {self.folder}")
        commands = self.running.enter_context(self._commands(environment))
        commands.start()
        self._say_where()
        return commands

    def _say_where(self) -> None:
        echo(f"the page, the API and its /docs (Ctrl-C stops everything):\n{self.url}")
        if self.args.keys:
            echo(f"API key: {self.key}")

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.args.port}"

    def watch(self, commands: Commands) -> None:
        """Print a line a second until asked to stop. Raises ServerUnavailable when a command ends by itself."""
        began, last = monotonic(), self._look(commands)
        while not self.stop.wait(_LINE_SECONDS) and not self._is_over(began):
            commands.require_alive()
            now = self._look(commands)
            if now and last:
                echo(line(now, last) + self.outages.mark)
            last = now or last

    def _is_over(self, began: float) -> bool:
        return self.args.duration is not None and monotonic() - began >= self.args.duration

    def _database(self) -> Mapping[str, str]:
        if self.args.dsn:
            return {"ORDERS_POSTGRES__DSN": self.args.dsn}
        # What it stores is gone with it.
        database = postgres.postgres(self.folder / "postgresql", fsync=False, stop=self.stop)
        server = self.running.enter_context(database)
        echo("PostgreSQL runs, from a package")
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
        path.write_text(f"read,dead-letters {self.key}\n")
        return {"ORDERS_AUTH__KEYS_FILE": str(path)}

    def _kafka_or_mock(self) -> Mapping[str, str]:
        try:
            server = self.running.enter_context(broker.kafka(self.folder / "kafka", echo=echo, stop=self.stop))
        except ServerUnavailable as obstacle:
            if self.args.broker == "kafka":
                raise
            echo(f"Apache Kafka can't be had here: {obstacle}")
            return self._mock()
        echo(f"{server.kind} runs")
        return {"ORDERS_KAFKA__BOOTSTRAP_SERVERS": server.bootstrap_servers}

    def _mock(self) -> Mapping[str, str]:
        server = self.running.enter_context(broker.mock(_TOPICS))
        echo(f"{server.kind} runs, in Kafka's place: {broker.MOCK_LIMITS}")
        return {
            "ORDERS_KAFKA__BOOTSTRAP_SERVERS": server.bootstrap_servers,
            "ORDERS_KAFKA__CREATE_TOPICS": "false",  # an admin request
        }

    def _commands(self, environment: Mapping[str, str]) -> Commands:
        if self.args.reload:
            return ReloadedCommands(self.folder, environment, self.args.rate, self.stop, Sources(), echo)
        return Commands(self.folder, environment, self.args.rate, self.stop)

    def _look(self, commands: Commands) -> Flow | None:
        """Say which servers were lost or are back; return what flows, None while one of our own does not answer."""
        self._read_some()
        stats = self._asked("api", lambda: self._json("/stats"))
        for news in self.outages.note_dependencies(stats["dependencies"] if stats else {}):
            echo(news)
        consumer = self._asked("consumer", lambda: _counters(commands.consumer_admin))
        api = self._asked("api", lambda: _counters(commands.api_admin)) if stats else None
        return None if consumer is None or api is None else _flow(consumer, api)

    def _asked(self, name: str, ask: Callable[[], T]) -> T | None:
        """Return the answer, or None without one; say when that changes."""
        try:
            answer = ask()
        except (OSError, HTTPException):
            answer = None
        for news in self.outages.note(name, is_up=answer is not None):
            echo(news)
        return answer

    def _read_some(self) -> None:
        """Read the newest orders as visitors would, and those of before again; give up at the first refusal."""
        with suppress(OSError, HTTPException):
            newest = [order["order_uid"] for order in self._json(f"/orders?limit={_NEWEST_EACH_SECOND}")["orders"]]
            self.read = [*dict.fromkeys([*newest, *self.read])][:_READ_EACH_SECOND]
        with suppress(OSError, HTTPException):
            for uid in self.read:
                self._json(f"/orders/{uid}")

    def _json(self, path: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(_get(f"{self.url}{path}", self.key))
        return document


def _flow(consumer: Mapping[str, float], api: Mapping[str, float]) -> Flow:
    return Flow(
        monotonic(),
        consumer.get("orders_stored_total", 0),
        consumer.get("orders_dead_letters_total", 0),
        api.get("orders_cache_hits_total", 0),
        api.get("orders_cache_misses_total", 0),
    )


def line(now: Flow, last: Flow) -> str:
    return (
        f"stored {_rate(now, last)}/s, {now.stored:8.0f} in all | dead letters {now.dead_letters:6.0f} | "
        f"cache: {now.hits:.0f} hits, {now.misses:.0f} misses"
    )


def _rate(now: Flow, last: Flow) -> str:
    """Return it over the time between the two; a hyphen after a reload, when the consumer counts from 0 again."""
    if now.stored < last.stored:
        return f"{'-':>5}"
    return f"{(now.stored - last.stored) / (now.at - last.at):5.0f}"


def _counters(port: int) -> dict[str, float]:
    """Return each sample's sum over its labels. Raises OSError."""
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(_get(f"http://{HOST}:{port}/metrics")):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0) + sample.value
    return sums


def _get(url: str, key: str = "") -> str:
    """Return the body of a 200. Raises OSError."""
    request = Request(url, headers={"X-API-Key": key})  # noqa: S310 - our own address
    with urlopen(request, timeout=_CALL_SECONDS) as answer:  # noqa: S310
        text: str = answer.read().decode()
        return text
