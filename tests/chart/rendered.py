"""The chart, as `helm template` renders it."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "chart"
KUBERNETES: Final = "1.34.0"


def render(*values: Path, name: str = "orders", settings: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return the objects; CalledProcessError where Helm refuses the values."""
    options = [f"--values={file}" for file in values] + [f"--set={setting}" for setting in settings]
    command = ["helm", "template", name, str(CHART), f"--kube-version={KUBERNETES}", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)  # noqa: S603
    return [each for each in yaml.safe_load_all(done.stdout) if each]
