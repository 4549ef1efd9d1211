"""What the panels of the dashboard ask."""

import json
import re
from pathlib import Path
from typing import Any

from tests.prometheus.server import Prometheus

ROOT = Path(__file__).parents[2]
DASHBOARD: dict[str, Any] = json.loads((ROOT / "chart" / "files" / "dashboard.json").read_text(encoding="utf-8"))
PANELS = [each for each in DASHBOARD["panels"] if each["type"] != "row"]
CHOICES: dict[str, dict[str, Any]] = {each["name"]: each for each in DASHBOARD["templating"]["list"]}


def assert_all_show_something(server: Prometheus, namespace: str) -> None:
    for target in (target for panel in PANELS for target in panel["targets"]):
        shown = server.tells(chosen(target["expr"], namespace))
        labels = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        assert all(labels <= sample["metric"].keys() for sample in shown), target


def chosen(asked: str, namespace: str) -> str:
    """Return the query of someone who has chosen a namespace, and all that is in it."""
    choices = {"namespace": namespace, "__rate_interval": "20s"}
    choices |= {name: CHOICES[name]["allValue"] for name in ("job", "instance")}
    for name, value in choices.items():
        asked = asked.replace(f"${name}", value)
    return asked
