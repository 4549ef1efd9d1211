"""A real Prometheus, with a configuration that a test makes."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml

from local.ports import HOST, free_port
from local.process import Process
from service.pkg.shutdown_event import ShutdownEvent
from tests.waiting import eventually

PROGRAM = shutil.which("prometheus")
NOT_RUN = "there is no prometheus on the path"
START_SECONDS = 60.0
CALL_SECONDS = 10.0
FAR = 90.0


@dataclass(frozen=True, slots=True)
class Prometheus:
    port: int

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """Return the samples of an instant query; AssertionError where Prometheus refuses it."""
        query = urlencode({"query": expression})
        with urlopen(f"http://{HOST}:{self.port}/api/v1/query?{query}", timeout=CALL_SECONDS) as answer:
            document = json.load(answer)
        assert document["status"] == "success"
        found: list[dict[str, Any]] = document["data"]["result"]
        return found

    def tells(self, expression: str) -> list[dict[str, Any]]:
        """Return the samples of a query as soon as there are some."""
        found: list[dict[str, Any]] = eventually(lambda: self.ask(expression), FAR, expression)
        return found

    def fires(self, alert: str) -> None:
        """Block until it does."""
        eventually(lambda: self._fires(alert), FAR, f"{alert} firing")

    def resolves(self, alert: str) -> None:
        """Block until it fires no more."""
        eventually(lambda: not self._fires(alert), FAR, f"{alert} resolved")

    def is_ready(self) -> bool:
        try:
            with urlopen(f"http://{HOST}:{self.port}/-/ready", timeout=CALL_SECONDS):
                return True
        except (URLError, OSError):
            return False

    def _fires(self, alert: str) -> bool:
        return bool(self.ask(f'ALERTS{{alertname="{alert}", alertstate="firing"}}'))


@contextmanager
def configured(folder: Path, configuration: dict[str, Any]) -> Iterator[Prometheus]:
    """Run a server with what its file of configuration is to hold."""
    config = folder / "prometheus.yaml"
    config.write_text(yaml.safe_dump(configuration))
    server = Prometheus(free_port())
    command = [
        PROGRAM or pytest.skip(NOT_RUN),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={HOST}:{server.port}",
    ]
    with Process("Prometheus", command, folder / "prometheus.log") as process:
        process.wait_until(server.is_ready, START_SECONDS, ShutdownEvent())
        yield server
