"""`.ci/install.py` installs the lock file and shows its progress."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "install.py"
PIP_OUTPUT = [
    *(f"Collecting package{number}==1.0 (from -r lock (line {number}))" for number in range(20)),
    "  Downloading package-1.0.whl (1 kB)",
    "Installing collected packages: package",
]


def show_progress(lines: list[str], total: int) -> None:
    runpy.run_path(str(SCRIPT))["show_progress"](lines, total)


def test_each_tenth_of_the_packages_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    show_progress(PIP_OUTPUT, 20)
    lines = [f"  {count} of 20 packages" for count in range(2, 21, 2)]
    assert capsys.readouterr().out.splitlines() == [*lines, "  unpacking them"]


def test_a_terminal_shows_each_package_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    show_progress(PIP_OUTPUT, 20)
    output = capsys.readouterr().out
    assert "\r\x1b[K  7 of 20 packages: package6" in output
    assert output.count("\n") == 1


def test_the_error_and_the_exit_code_of_pip_are_passed_on(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.write_text(f"nothing==1.0 --hash=sha256:{'0' * 64}\n")
    completed = subprocess.run(  # noqa: S603 - a fixed program
        [sys.executable, SCRIPT, lock],
        env=os.environ | {"PIP_NO_INDEX": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert completed.returncode == 1
    assert "No matching distribution found for nothing==1.0" in completed.stderr
