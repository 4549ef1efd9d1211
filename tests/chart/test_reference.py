"""Files that Helm and helm-docs generate are up to date, and the chart's README documents every value."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from reference import ROOT
from reference.chart import ToolNotInstalled
from reference.files import OF_CHART
from tests.chart.helm import CHART


@pytest.mark.parametrize("name", OF_CHART)
def test_a_generated_file_is_up_to_date(name: str) -> None:
    try:
        generated = OF_CHART[name]()
    except ToolNotInstalled as error:
        pytest.skip(str(error))
    assert (ROOT / name).read_text(encoding="utf-8") == generated, "run: make reference"


def test_the_readme_documents_every_value() -> None:
    readme = (CHART / "README.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| ([\w.]+) \|", readme, re.MULTILINE)) - {"Key"}
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert documented <= {path for path, _ in nodes(values)}, "no such value"
    leaves = [path for path, node in nodes(values) if not isinstance(node, dict) or not node]
    assert [path for path in leaves if not documented & {*parents(path)}] == []


def nodes(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path of each value and of each map of values, and the value."""
    if path:
        yield path, node
    if isinstance(node, dict):
        for key, value in node.items():
            yield from nodes(value, f"{path}.{key}" if path else key)


def parents(path: str) -> Iterator[str]:
    """Yield the path, and those of the maps that contain it."""
    while path:
        yield path
        path = path.rpartition(".")[0]
