"""The chart, as `helm template` renders it."""

import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "chart"
KUBERNETES: Final = "1.34.4"

Manifest = dict[str, Any]


def render(*values: Path, name: str = "orders", settings: Sequence[str] = (), chart: Path = CHART) -> list[Manifest]:
    """Return the objects; CalledProcessError where Helm refuses the values."""
    return [each for each in yaml.load_all(rendered(values, name, tuple(settings), chart), yaml.CSafeLoader) if each]


@cache
def rendered(
    values: tuple[Path, ...] = (), name: str = "orders", settings: tuple[str, ...] = (), chart: Path = CHART
) -> str:
    options = [f"--values={file}" for file in values] + [f"--set={setting}" for setting in settings]
    command = ["helm", "template", name, str(chart), f"--kube-version={KUBERNETES}", "--namespace=shop", *options]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout  # noqa: S603


def refusal(*settings: str) -> list[str]:
    """Return the lines with which Helm refuses the values; it must."""
    try:
        rendered(settings=settings)
    except subprocess.CalledProcessError as refused:
        return str(refused.stderr).splitlines()
    raise AssertionError(f"Helm takes {settings}")


def of_kind(objects: Sequence[Manifest], *kinds: str) -> list[Manifest]:
    return [each for each in objects if each["kind"] in kinds]


def one(objects: Sequence[Manifest], kind: str, name: str | None = None) -> Manifest:
    (found,) = (each for each in of_kind(objects, kind) if name in {None, each["metadata"]["name"]})
    return found


def pod_templates(objects: Sequence[Manifest]) -> Iterator[Manifest]:
    """Yield what has a pod's `metadata` and `spec`, bare pods included."""
    for each in objects:
        if each["kind"] == "Pod":
            yield each
        elif each["kind"] in {"Deployment", "StatefulSet", "Job"}:
            yield each["spec"]["template"]


def containers(pod: Manifest) -> Iterator[Manifest]:
    return chain(pod["spec"].get("initContainers", []), pod["spec"]["containers"])
