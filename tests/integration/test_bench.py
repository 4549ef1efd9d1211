"""`orders bench` reports all its figures; their values are not tested."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.kit.processes import ROOT

TIMEOUT_SECONDS = 300  # 40 s on an idle machine, three times that on a loaded one
GROWTH = {"small", "large", "large_copy", "large_steady"}
RATES = {"orders", "copy", "baseline", "consume", "dirty", "redelivery", "two", "four"} | GROWTH
CLIENTS = RATES
WITH_POSTGRESQL = RATES - {"consume"}
WITH_MEMORY = RATES - {"copy", "large_copy", "baseline", "consume"}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """The JSON report and the output of one quick run, which starts its own servers."""
    path = tmp_path_factory.mktemp("bench") / "bench.json"
    options = ["--quick", "--rounds", "1", "--scale", "0.02", "--only", "ingest", "--json", str(path)]
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "service", "bench", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(path.read_text()), done.stdout


def test_every_figure_is_reported_and_positive(report: tuple[dict[str, Any], str]) -> None:
    figures = report[0]["figures"]
    expected = {f"ingest.{name}" for name in RATES} | {"ingest.large.stored"}
    expected |= {f"ingest.{name}.client" for name in CLIENTS}
    expected |= {f"ingest.{name}.postgresql" for name in WITH_POSTGRESQL}
    expected |= {f"ingest.{name}.memory" for name in WITH_MEMORY}
    assert figures.keys() == expected
    assert [name for name, figure in figures.items() if figure["lowest"] < 0] == []
    assert [name for name in RATES if figures[f"ingest.{name}"]["lowest"] <= 0] == []


def test_every_ingest_ratio_is_reported_with_its_goal(report: tuple[dict[str, Any], str]) -> None:
    written, printed = report
    assert [ratio["number"] for ratio in written["ratios"]] == [1, 2, 3, 4, 5, 8, 15, 15, 16, 17]
    assert all(ratio["text"] in printed for ratio in written["ratios"])
