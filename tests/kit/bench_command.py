"""Runs `orders bench`."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.kit.processes import ROOT

TIMEOUT_SECONDS = 300  # 40 s on an idle machine, three times that on a loaded one


def run_bench(folder: Path, *options: str) -> tuple[dict[str, Any], str]:
    """Return the JSON report and the output of a quick run, which starts its own servers."""
    path = folder / "bench.json"
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "service", "bench", "--quick", *options, "--json", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(path.read_text()), done.stdout
