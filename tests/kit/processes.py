"""Runs `python -m service` as a separate process, with its settings in the environment."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol
from urllib.request import urlopen

from local.ports import free_port
from local.process import environment_without_settings
from tests.kit.waiting import eventually

ROOT = Path(__file__).parents[2]
DRAIN_TIMEOUT_SECONDS = 30.0  # Kubernetes' default grace period
PROBE_TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Service:
    """A running `python -m service`; its output goes to `log`."""

    process: subprocess.Popen[bytes]
    log: Path
    admin_port: int
    http_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def ready(self, within: float = 30.0) -> "Service":
        """Block until `/readyz` on the admin port returns 200; otherwise AssertionError with the end of the log."""
        try:
            eventually(lambda: self._has_exited() or self._is_ready(), within, "ready")
            assert not self._has_exited(), f"exited with {self.process.returncode} before it was ready"
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.tail()}") from error
        return self

    def stop(self, within: float = DRAIN_TIMEOUT_SECONDS) -> int:
        """Send SIGTERM, wait, and return the exit code; TimeoutExpired if the process does not exit."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within)

    def kill(self) -> None:
        """Send SIGKILL and wait."""
        self.process.kill()
        self.process.wait()

    def stop_or_kill(self) -> None:
        """Stop the process if it still runs; kill it if it does not stop."""
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.kill()

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return the JSON lines of the log whose event contains this text."""
        lines = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return [line for line in lines if event in line["event"]]

    def peak_mib(self) -> int:
        """Return the peak of the resident memory (VmHWM)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) // 1024

    def _has_exited(self) -> bool:
        return self.process.poll() is not None

    def _is_ready(self) -> bool:
        with urlopen(f"http://127.0.0.1:{self.admin_port}/readyz", timeout=PROBE_TIMEOUT_SECONDS) as response:
            return bool(response.status == HTTPStatus.OK)


class Spawn(Protocol):
    def __call__(self, *arguments: str, settings: Mapping[str, str], module: str = "service") -> Service: ...


@contextmanager
def started(
    arguments: tuple[str, ...], settings: Mapping[str, str], log: Path, module: str = "service"
) -> Iterator[Service]:
    """Run `python -m MODULE ARGUMENTS` on free ports, unless `settings` names them, and stop it at the end.

    Does not wait until it is ready: see `Service.ready`.
    """
    ports = {"ORDERS_ADMIN__PORT": str(free_port()), "ORDERS_HTTP__PORT": str(free_port())}
    environment = {**environment_without_settings(), **ports, **settings}
    command = [sys.executable, "-m", module, *arguments]
    with (
        log.open("wb") as output,
        subprocess.Popen(  # noqa: S603 - a fixed program
            command, env=environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        ) as process,
    ):
        service = Service(process, log, int(environment["ORDERS_ADMIN__PORT"]), int(environment["ORDERS_HTTP__PORT"]))
        try:
            yield service
        finally:
            service.stop_or_kill()
