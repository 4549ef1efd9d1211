"""The panels of the dashboard and their queries."""

import json
import re
from pathlib import Path
from typing import Any

from tests.prometheus.server import Prometheus

ROOT = Path(__file__).parents[2]
DASHBOARD: dict[str, Any] = json.loads((ROOT / "chart" / "files" / "dashboard.json").read_text(encoding="utf-8"))
PANELS = [each for each in DASHBOARD["panels"] if each["type"] != "row"]
VARIABLES: dict[str, dict[str, Any]] = {each["name"]: each for each in DASHBOARD["templating"]["list"]}


def assert_panels_have_data(server: Prometheus, namespace: str) -> None:
    for target in (target for panel in PANELS for target in panel["targets"]):
        samples = server.wait_for_samples(with_variables(target["expr"], namespace))
        labels = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        assert all(labels <= sample["metric"].keys() for sample in samples), target


def with_variables(expression: str, namespace: str) -> str:
    """Return the query with the dashboard's variables set to a namespace and all its jobs and instances."""
    values = {"namespace": namespace, "__rate_interval": "20s"}
    values |= {name: VARIABLES[name]["allValue"] for name in ("job", "instance")}
    for name, value in values.items():
        expression = expression.replace(f"${name}", value)
    return expression
