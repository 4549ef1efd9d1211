"""A real Prometheus that scrapes what a test names."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml

from service.embedded.ports import HOST, free_port
from service.embedded.process import Process
from service.pkg.stop import Stop

PROGRAM = shutil.which("prometheus")
NOT_RUN = "there is no prometheus on the path"
NAMESPACE = "shop"
START_SECONDS = 60.0
CALL_SECONDS = 10.0


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("prometheus")
    terminalreporter.line(f"Prometheus: {PROGRAM}" if PROGRAM else f"NOT RUN: PROMETHEUS: {NOT_RUN.upper()}")


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

    def is_ready(self) -> bool:
        try:
            with urlopen(f"http://{HOST}:{self.port}/-/ready", timeout=CALL_SECONDS):
                return True
        except (URLError, OSError):
            return False


@contextmanager
def prometheus(folder: Path, targets: Sequence[str]) -> Iterator[Prometheus]:
    """Run a server that looks at the targets every second, as if they were pods of one namespace."""
    config = folder / "prometheus.yaml"
    static = [{"targets": [*targets], "labels": {"namespace": NAMESPACE}}]
    config.write_text(
        yaml.safe_dump(
            {"global": {"scrape_interval": "1s"}, "scrape_configs": [{"job_name": "orders", "static_configs": static}]}
        )
    )
    server = Prometheus(free_port())
    command = [
        str(PROGRAM),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={HOST}:{server.port}",
    ]
    with Process("Prometheus", command, folder / "prometheus.log") as process:
        process.wait_until(server.is_ready, START_SECONDS, Stop())
        yield server
