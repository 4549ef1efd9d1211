"""A real Prometheus that scrapes the given processes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.ports import HOST
from tests.kit.processes import Service
from tests.prometheus.server import NOT_RUN, PROGRAM, Prometheus, configured

NAMESPACE = "shop"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("prometheus")
    terminalreporter.line(f"Prometheus: {PROGRAM}" if PROGRAM else f"NOT RUN: PROMETHEUS: {NOT_RUN.upper()}")


def _scrape_config(pod: Service) -> dict[str, Any]:
    mode = str(pod.process.args[3])  # type: ignore[index]
    labels = {"namespace": NAMESPACE, "pod": f"orders-{mode}-{pod.admin_port}"}
    return {
        "job_name": f"orders-{mode}-metrics",
        "static_configs": [{"targets": [f"{HOST}:{pod.admin_port}"], "labels": labels}],
    }


@contextmanager
def prometheus(folder: Path, *pods: Service, rules: Sequence[Any] = ()) -> Iterator[Prometheus]:
    """Run a server that scrapes consumers and APIs every second, with the labels that the operator would add.

    `rules` are groups of rules, evaluated every second too.
    """
    alerts = folder / "alerts.yaml"
    alerts.write_text(yaml.safe_dump({"groups": [*rules]}))
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(alerts)],
        "scrape_configs": [_scrape_config(pod) for pod in pods],
    }
    with configured(folder, configuration) as server:
        yield server
