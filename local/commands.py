"""The `orders` commands of the demo: first `migrate`, then `consumer`, `api` and `generate` in parallel."""

import secrets
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final, Self

from local.ports import free_port
from local.process import Process
from local.ready import is_ready
from local.sources import Sources
from service.errors import ServerUnavailable
from service.pkg.output import Echo
from service.pkg.shutdown_event import ShutdownEvent

_STARTUP_TIMEOUT_SECONDS: Final = 90.0
_MIX: Final = ("--invalid", "0.02", "--duplicates", "0.03", "--stale", "0.02")


class Commands:
    """The running commands, each with a log file in `folder`. Leaving the context stops them in reverse order."""

    def __init__(self, folder: Path, environment: Mapping[str, str], rate: float, stop: ShutdownEvent) -> None:
        self._folder = folder
        self._environment = environment
        self._rate = rate
        self._stop = stop
        self._running = ExitStack()
        self.children: list[Process] = []
        self.consumer_admin = free_port()
        self.api_admin = free_port()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_all()

    def start(self) -> None:
        """Start all commands; return when orders are being generated. Raises ServerUnavailable, Stopped."""
        self._command("migrate").run(_STARTUP_TIMEOUT_SECONDS, self._stop)
        consumer = self._child("consumer", ORDERS_ADMIN__PORT=str(self.consumer_admin))
        api = self._child("api", ORDERS_ADMIN__PORT=str(self.api_admin))
        consumer.wait_until(partial(is_ready, self.consumer_admin), _STARTUP_TIMEOUT_SECONDS, self._stop)
        api.wait_until(partial(is_ready, self.api_admin), _STARTUP_TIMEOUT_SECONDS, self._stop)
        # A new seed each time, because existing servers may already store the orders of an earlier run.
        seed = str(secrets.randbelow(2**31))
        self._child("generate", "--count", "0", "--rate", str(self._rate), "--seed", seed, *_MIX)

    def stop_all(self) -> None:
        self.children.clear()
        self._running.close()

    def require_alive(self) -> None:
        """Raise ServerUnavailable, with the last lines of its log, if a command has exited."""
        for child in self.children:
            child.require_alive()

    def _child(self, *arguments: str, **environment: str) -> Process:
        child = self._running.enter_context(self._command(*arguments, **environment))
        self.children.append(child)
        return child

    def _command(self, *arguments: str, **environment: str) -> Process:
        name = arguments[0]
        command = [sys.executable, "-m", "service", *arguments]
        log = self._folder / f"{name}.log"
        return Process(f"orders {name}", command, log, environment={**self._environment, **environment})


class ReloadedCommands(Commands):
    """Restarts the commands when the sources change, also after a command has failed."""

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        rate: float,
        stop: ShutdownEvent,
        sources: Sources,
        echo: Echo,
    ) -> None:
        super().__init__(folder, environment, rate, stop)
        self._sources = sources
        self._echo = echo

    def start(self) -> None:
        self._attempt(super().start)

    def require_alive(self) -> None:
        if self._sources.have_changed():
            self._echo("source code changed: restarting everything except Kafka and PostgreSQL")
            self.stop_all()
            self.start()
        else:
            self._attempt(super().require_alive)

    def _attempt(self, step: Callable[[], None]) -> None:
        try:
            step()
        except ServerUnavailable as error:
            self._echo(f"{error}\nwaiting for a change of the source code to restart")
            self.stop_all()
