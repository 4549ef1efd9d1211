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
from tests.processes import Service

PROGRAM = shutil.which("prometheus")
NOT_RUN = "there is no prometheus on the path"
NAMESPACE = "shop"
START_SECONDS = 60.0
CALL_SECONDS = 10.0


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("prometheus")
    terminalreporter.line(f"Prometheus: {PROGRAM}" if PROGRAM else f"NOT RUN: PROMETHEUS: {NOT_RUN.upper()}")


@pytest.fixture
def program() -> str:
    if PROGRAM is None:
        pytest.skip(NOT_RUN)
    return PROGRAM


def _scraped(pod: Service) -> dict[str, Any]:
    mode = str(pod.process.args[3])  # type: ignore[index]
    labels = {"namespace": NAMESPACE, "pod": f"orders-{mode}-{pod.admin_port}"}
    return {
        "job_name": f"orders-{mode}-metrics",
        "static_configs": [{"targets": [f"{HOST}:{pod.admin_port}"], "labels": labels}],
    }


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

    def fires(self, alert: str) -> bool:
        return bool(self.ask(f'ALERTS{{alertname="{alert}", alertstate="firing"}}'))

    def is_ready(self) -> bool:
        try:
            with urlopen(f"http://{HOST}:{self.port}/-/ready", timeout=CALL_SECONDS):
                return True
        except (URLError, OSError):
            return False


@contextmanager
def prometheus(program: str, folder: Path, *pods: Service, rules: Sequence[Any] = ()) -> Iterator[Prometheus]:
    """Run a server that looks at consumers and APIs every second, with the labels that the operator would give them.

    `rules` are groups of rules, which it evaluates as often.
    """
    config, alerts = folder / "prometheus.yaml", folder / "alerts.yaml"
    alerts.write_text(yaml.safe_dump({"groups": [*rules]}))
    written = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(alerts)],
        "scrape_configs": [_scraped(pod) for pod in pods],
    }
    config.write_text(yaml.safe_dump(written))
    server = Prometheus(free_port())
    command = [
        program,
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={HOST}:{server.port}",
    ]
    with Process("Prometheus", command, folder / "prometheus.log") as process:
        process.wait_until(server.is_ready, START_SECONDS, Stop())
        yield server
