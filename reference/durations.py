"""The times in tests/README.md, from those that `.ci/run` measured."""

import json
import re
from typing import Final

from reference import ROOT

TIERS: Final = {
    "unit": ("unit",),  # includes meta
    "integration": ("containers", "own_servers"),  # the other tiers repeat some of the tests on other servers
    "faults": ("faults",),
    "fuzz": ("fuzz",),
    "browser": ("browser",),
    "chart": ("chart",),
    "prometheus": ("Prometheus",),
    "cluster": ("cluster",),
}
"""Tiers of `.ci/run` by folder of tests."""


def render() -> str:
    page = (ROOT / "tests" / "README.md").read_text(encoding="utf-8")
    measured = json.loads((ROOT / ".ci" / "seconds.json").read_text(encoding="utf-8"))["warm"]
    for folder, tiers in TIERS.items():
        time = _rounded(sum(measured[tier] for tier in tiers))
        page, replaced = re.subn(rf"^(\| `{folder}` \|.*\| )\d+ \w+", rf"\g<1>{time}", page, flags=re.MULTILINE)
        if replaced != 1:
            raise ValueError(f"tests/README.md: {replaced} rows of `{folder}` with a time, not one")
    return page


def _rounded(seconds: int) -> str:
    return f"{seconds} s" if seconds < 60 else f"{round(seconds / 60)} min"  # noqa: PLR2004
