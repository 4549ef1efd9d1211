"""The Makefile: one word for everything that is done daily."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def told_by(*arguments: str) -> str:
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout  # noqa: S603


def test_help_lists_every_target() -> None:
    (targets,) = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(re.findall(r"^  make (\S+) +\S", told_by("help"), re.MULTILINE)) == sorted(targets.split())


@pytest.mark.parametrize(
    ("target", "command"), [("migrate", "migrate"), ("run-consumer", "consumer"), ("run-api", "api")]
)
def test_each_part_has_a_word_that_runs_it(target: str, command: str) -> None:
    assert told_by("--dry-run", target).splitlines()[-1] == f".venv/bin/orders {command}"
