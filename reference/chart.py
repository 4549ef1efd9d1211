"""Files that Helm and helm-docs generate from the chart."""

import re
import shutil
import subprocess
from typing import Final

from reference import ROOT

VALUES: Final = "metrics.prometheusRule.enabled=true,metrics.serviceMonitor.enabled=true,migrations.mode=none"


class ToolNotInstalled(Exception):
    """A program is not on PATH."""


def render_alerts() -> str:
    """Return the chart's alerts as rules for the Prometheus of compose.yaml. Raises ToolNotInstalled."""
    template = "templates/metrics/prometheusrule.yaml"
    manifest = _run(
        "helm", "template", "orders", "chart", "--namespace=local", f"--set={VALUES}", f"--show-only={template}"
    )
    spec = manifest.partition("\nspec:\n")[2]
    lines = [line.removeprefix("  ") for line in spec.splitlines() if not re.fullmatch(r" *(#.*)?", line)]
    return "\n".join([*lines, ""])


def render_readme() -> str:
    """Return the chart's README with the comments of its values. Raises ToolNotInstalled."""
    return _run(
        "helm-docs", "--chart-search-root=chart", "--sort-values-order=file", "--log-level=warning", "--dry-run"
    )


def _run(*command: str) -> str:
    if not shutil.which(command[0]):
        raise ToolNotInstalled(f"{command[0]} is not on PATH: .ci/tools.sh builds it and prints its folder")
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout  # noqa: S603
