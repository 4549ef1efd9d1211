"""`make audit` fails if an advisory service does not respond. The services are replaced by fakes."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / ".ci" / "audit.sh"
NOTHING = "exit 0"
SILENT = (
    "echo 'npm error audit endpoint returned an error' >&2; echo 'npm error A complete log of this run' >&2; exit 1"
)
UNKNOWN = "echo 'ERROR:click: Dependency not found on PyPI and could not be audited' >&2; exit 1"
KNOWN = "echo 'click 8.5.1 PYSEC-1'; echo '1 high severity vulnerability'; exit 1"


def audited(folder: Path, python: str, page: str) -> tuple[int, str]:
    """Return the status, and all that is said, where pip-audit and npm do as told."""
    for name, script in (("pip-audit", python), ("npm", page)):
        (folder / name).write_text(f'#!/bin/sh\necho "$*" >>{folder}/asked\n{script}\n', encoding="utf-8")
        (folder / name).chmod(0o755)
    path = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([SCRIPT], capture_output=True, text=True, check=False, timeout=30, env=os.environ | path)  # noqa: S603
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("python", "page", "status", "said"),
    [
        (
            NOTHING,
            NOTHING,
            0,
            ["no known vulnerabilities in requirements", "no known vulnerabilities in web/package-lock.json"],
        ),
        (KNOWN, NOTHING, 1, ["PYSEC-1", "audit: known vulnerabilities in requirements.lock"]),
        (NOTHING, KNOWN, 1, ["1 high", "audit: known vulnerabilities in web/package-lock.json"]),
        (UNKNOWN, KNOWN, 1, ["NOT CHECKED: requirements.lock", "audit: known vulnerabilities in web"]),
        (UNKNOWN, NOTHING, 3, ["NOT CHECKED: requirements.lock: pip-audit failed: ERROR:click: Dependency"]),
        (NOTHING, SILENT, 3, ["NOT CHECKED: web/package-lock.json: npm audit failed: npm error audit endpoint"]),
    ],
)
def test_the_audit_tells_what_is_known_what_is_not_and_what_could_not_be_asked(
    python: str, page: str, status: int, said: list[str], tmp_path: Path
) -> None:
    found, told = audited(tmp_path, python, page)
    assert found == status
    assert all(each in told for each in said), told


def test_every_lock_file_is_asked_about_and_what_can_not_be_answered_fails(tmp_path: Path) -> None:
    audited(tmp_path, NOTHING, NOTHING)
    *python, page = (tmp_path / "asked").read_text(encoding="utf-8").splitlines()
    assert {asked.split()[-1] for asked in python} == {lock.name for lock in ROOT.glob("requirements*.lock")}
    assert all("--strict" in asked.split() for asked in python)
    assert page == "--prefix web audit --package-lock-only"
