"""`orders bench --only event_streams` reports its figures; their values are not tested."""

from pathlib import Path

from tests.kit.bench_command import run_bench

NAMES = ("cpu", "load", "rate", "memory", "p50", "p99")


def test_every_figure_of_event_streams_is_reported(tmp_path: Path) -> None:
    report, _ = run_bench(tmp_path, "--only", "event_streams")
    figures = report["figures"]
    assert figures.keys() == {f"events.{kind}.{name}" for kind in ("plain", "summary") for name in NAMES}
    assert [kind for kind in ("plain", "summary") if figures[f"events.{kind}.rate"]["lowest"] <= 0] == []
