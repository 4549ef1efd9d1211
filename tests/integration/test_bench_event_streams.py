"""`orders bench --only event_streams` reports its figures; their values are not tested."""

import json
import subprocess
import sys
from pathlib import Path

from tests.kit.processes import ROOT

TIMEOUT_SECONDS = 300  # 40 s on an idle machine
NAMES = ("cpu", "load", "rate", "memory", "p50", "p99")


def test_every_figure_of_event_streams_is_reported(tmp_path: Path) -> None:
    report = tmp_path / "bench.json"
    options = ["--quick", "--only", "event_streams", "--json", str(report)]
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "service", "bench", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(report.read_text())["figures"]
    assert figures.keys() == {f"events.{kind}.{name}" for kind in ("plain", "summary") for name in NAMES}
    assert [kind for kind in ("plain", "summary") if figures[f"events.{kind}.rate"]["lowest"] <= 0] == []
