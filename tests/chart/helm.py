"""Renders the chart with `helm template`."""

import re
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


def render(
    *values: Path, name: str = "orders", settings: Sequence[str] = (), chart: Path = CHART, namespace: str = "shop"
) -> list[Manifest]:
    """Return the rendered objects. Raises CalledProcessError if Helm rejects the values."""
    return parse(render_yaml(values, name, tuple(settings), chart, namespace))


class HelmLoader(yaml.CSafeLoader):
    """Resolves scalars as Helm does, unlike YAML 1.1: `1e3` and `0o17` are numbers, `=` and `<<` are strings."""


HelmLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?$"), list("-+.0123456789")
)
HelmLoader.yaml_constructors = HelmLoader.yaml_constructors | dict.fromkeys(
    ("tag:yaml.org,2002:value", "tag:yaml.org,2002:merge"), yaml.CSafeLoader.construct_yaml_str
)
HelmLoader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"[-+]?0o[0-7]+$"), list("-+0"))


def parse(manifests: str) -> list[Manifest]:
    return [each for each in yaml.load_all(manifests, HelmLoader) if each]


@cache
def render_yaml(
    values: tuple[Path, ...] = (),
    name: str = "orders",
    settings: tuple[str, ...] = (),
    chart: Path = CHART,
    namespace: str = "shop",
    json_settings: tuple[str, ...] = (),
) -> str:
    options = [f"--namespace={namespace}", f"--kube-version={KUBERNETES}"]
    options += [f"--values={file}" for file in values] + [f"--set={setting}" for setting in settings]
    options += [f"--set-json={setting}" for setting in json_settings]
    command = ["helm", "template", name, str(chart), *options]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout  # noqa: S603


def rejection(*settings: str) -> list[str]:
    """Return the lines of Helm's error. Raises AssertionError if Helm accepts the settings."""
    try:
        render_yaml(settings=settings)
    except subprocess.CalledProcessError as error:
        return str(error.stderr).splitlines()
    raise AssertionError(f"Helm accepts {settings}")


def of_kind(objects: Sequence[Manifest], *kinds: str) -> list[Manifest]:
    return [each for each in objects if each["kind"] in kinds]


def one(objects: Sequence[Manifest], kind: str, name: str | None = None) -> Manifest:
    (found,) = (each for each in of_kind(objects, kind) if name in {None, each["metadata"]["name"]})
    return found


def pod_templates(objects: Sequence[Manifest]) -> Iterator[Manifest]:
    """Yield the pod template of each workload, and bare pods themselves."""
    for each in objects:
        if each["kind"] == "Pod":
            yield each
        elif each["kind"] in {"Deployment", "StatefulSet", "Job"}:
            yield each["spec"]["template"]
        elif each["kind"] == "CronJob":
            yield each["spec"]["jobTemplate"]["spec"]["template"]


def containers(pod: Manifest) -> Iterator[Manifest]:
    return chain(pod["spec"].get("initContainers", []), pod["spec"]["containers"])
