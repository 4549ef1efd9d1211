"""`orders bench` measures what it promises. How fast anything is, is no matter for a test."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.processes import ROOT

SECONDS = 300  # 40 s on an idle machine, three times that on a loaded one
RATES = {"ours", "raw", "baseline", "consume", "dirty", "redelivery", "two", "four", "small", "large"}
CLIENTS = RATES
SERVED = RATES - {"consume"}
REMEMBERED = RATES - {"raw", "baseline", "consume"}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """What one quick run, on servers that it started itself, wrote to its file, and what it printed."""
    path = tmp_path_factory.mktemp("bench") / "bench.json"
    what = ["--quick", "--rounds", "1", "--scale", "0.02", "--only", "ingest", "--json", str(path)]
    ran = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "service", "bench", *what],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(path.read_text()), ran.stdout


def test_each_promised_figure_is_there_and_positive(report: tuple[dict[str, Any], str]) -> None:
    figures = report[0]["figures"]
    promised = {f"ingest.{name}" for name in RATES} | {"ingest.large.stored"}
    promised |= {f"ingest.{name}.client" for name in CLIENTS}
    promised |= {f"ingest.{name}.postgresql" for name in SERVED}
    promised |= {f"ingest.{name}.memory" for name in REMEMBERED}
    assert figures.keys() == promised
    assert [name for name, figure in figures.items() if figure["lowest"] < 0] == []
    assert [name for name in RATES if figures[f"ingest.{name}"]["lowest"] <= 0] == []


def test_each_ratio_of_ingest_is_told_with_its_goal(report: tuple[dict[str, Any], str]) -> None:
    written, printed = report
    assert [ratio["number"] for ratio in written["ratios"]] == [1, 2, 3, 4, 5, 8, 15, 16]
    assert all(ratio["text"] in printed for ratio in written["ratios"])
