"""A real Prometheus with a given configuration."""

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
from tests.kit.waiting import eventually

PROGRAM = shutil.which("prometheus")
NOT_RUN = "prometheus not found on PATH"
START_SECONDS = 60.0
REQUEST_TIMEOUT_SECONDS = 10.0
WAIT_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Prometheus:
    port: int

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the samples of an instant query. Raises AssertionError if the query fails."""
        parameters = urlencode({"query": expression})
        with urlopen(
            f"http://{HOST}:{self.port}/api/v1/query?{parameters}", timeout=REQUEST_TIMEOUT_SECONDS
        ) as response:
            document = json.load(response)
        assert document["status"] == "success"
        found: list[dict[str, Any]] = document["data"]["result"]
        return found

    def wait_for_samples(self, expression: str) -> list[dict[str, Any]]:
        """Block until the query returns samples, and return them."""
        found: list[dict[str, Any]] = eventually(lambda: self.query(expression), WAIT_SECONDS, expression)
        return found

    def wait_until_firing(self, alert: str) -> None:
        eventually(lambda: self._is_firing(alert), WAIT_SECONDS, f"{alert} firing")

    def wait_until_resolved(self, alert: str) -> None:
        eventually(lambda: not self._is_firing(alert), WAIT_SECONDS, f"{alert} resolved")

    def is_ready(self) -> bool:
        try:
            with urlopen(f"http://{HOST}:{self.port}/-/ready", timeout=REQUEST_TIMEOUT_SECONDS):
                return True
        except (URLError, OSError):
            return False

    def _is_firing(self, alert: str) -> bool:
        return bool(self.query(f'ALERTS{{alertname="{alert}", alertstate="firing"}}'))


@contextmanager
def configured(folder: Path, configuration: dict[str, Any]) -> Iterator[Prometheus]:
    """Run a server with this configuration."""
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
