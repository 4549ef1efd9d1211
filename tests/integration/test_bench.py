"""`orders bench` reports all its figures; their values are not tested."""

from typing import Any

import pytest

from generator.formats import FORMATS, MIXED, REGISTRY_FORMATS
from tests.kit.bench_command import run_bench

GROWTH = {"small", "large", "large_copy", "large_steady"}
RATES = {"orders", "copy", "baseline", "consume", "dirty", "redelivery", "two", "four"} | GROWTH
CLIENTS = RATES
WITH_POSTGRESQL = RATES - {"consume"}
WITH_MEMORY = RATES - {"copy", "large_copy", "baseline", "consume"}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """The JSON report and the output of one run."""
    options = ["--rounds", "1", "--scale", "0.02", "--only", "ingest", "--only", "decoding"]
    return run_bench(tmp_path_factory.mktemp("bench"), *options)


def test_every_figure_is_reported_and_positive(report: tuple[dict[str, Any], str]) -> None:
    figures = report[0]["figures"]
    expected = {f"ingest.{name}" for name in RATES} | {"ingest.large.stored"}
    expected |= {f"ingest.{name}.client" for name in CLIENTS}
    expected |= {f"ingest.{name}.postgresql" for name in WITH_POSTGRESQL}
    expected |= {f"ingest.{name}.memory" for name in WITH_MEMORY}
    expected |= {f"decode.{name}" for name in (*FORMATS, *REGISTRY_FORMATS) if name != MIXED}
    assert figures.keys() == expected
    assert [name for name, figure in figures.items() if figure["lowest"] < 0] == []
    assert [name for name in RATES if figures[f"ingest.{name}"]["lowest"] <= 0] == []


def test_every_ratio_is_reported_with_its_goal(report: tuple[dict[str, Any], str]) -> None:
    written, printed = report
    assert [ratio["number"] for ratio in written["ratios"]] == [1, 2, 3, 4, 5, 8, 15, 15, 16, 17, 18, 19, 20]
    assert all(ratio["text"] in printed for ratio in written["ratios"])
