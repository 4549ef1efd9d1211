"""`make audit` fails if an advisory service does not respond. The services are replaced by fakes."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / ".ci" / "audit.sh"
NOT_VULNERABLE = "exit 0"
SERVICE_FAILED = (
    "echo 'npm error audit endpoint returned an error' >&2; echo 'npm error A complete log of this run' >&2; exit 1"
)
NOT_ON_PYPI = "echo 'ERROR:click: Dependency not found on PyPI and could not be audited' >&2; exit 1"
VULNERABLE = "echo 'click 8.5.1 PYSEC-1'; echo '1 high severity vulnerability'; exit 1"


def audit(folder: Path, pip_audit: str, npm: str) -> tuple[int, str]:
    """Run the script with fakes of pip-audit and npm. Return its exit code and output."""
    for name, script in (("pip-audit", pip_audit), ("npm", npm)):
        (folder / name).write_text(f'#!/bin/sh\necho "$*" >>{folder}/arguments\n{script}\n', encoding="utf-8")
        (folder / name).chmod(0o755)
    path = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([SCRIPT], capture_output=True, text=True, check=False, timeout=30, env=os.environ | path)  # noqa: S603
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("pip_audit", "npm", "code", "messages"),
    [
        (
            NOT_VULNERABLE,
            NOT_VULNERABLE,
            0,
            ["no known vulnerabilities in requirements", "no known vulnerabilities in web/package-lock.json"],
        ),
        (VULNERABLE, NOT_VULNERABLE, 1, ["PYSEC-1", "audit: known vulnerabilities in requirements.lock"]),
        (NOT_VULNERABLE, VULNERABLE, 1, ["1 high", "audit: known vulnerabilities in web/package-lock.json"]),
        (NOT_ON_PYPI, VULNERABLE, 1, ["NOT CHECKED: requirements.lock", "audit: known vulnerabilities in web"]),
        (NOT_ON_PYPI, NOT_VULNERABLE, 3, ["NOT CHECKED: requirements.lock: pip-audit failed: ERROR:click: Dependency"]),
        (
            NOT_VULNERABLE,
            SERVICE_FAILED,
            3,
            ["NOT CHECKED: web/package-lock.json: npm audit failed: npm error audit endpoint"],
        ),
    ],
)
def test_known_vulnerabilities_and_failed_queries_fail_the_audit(
    pip_audit: str, npm: str, code: int, messages: list[str], tmp_path: Path
) -> None:
    exit_code, output = audit(tmp_path, pip_audit, npm)
    assert exit_code == code
    assert [message for message in messages if message not in output] == []


def test_every_lock_file_is_audited_strictly(tmp_path: Path) -> None:
    audit(tmp_path, NOT_VULNERABLE, NOT_VULNERABLE)
    *pip_audits, npm = (tmp_path / "arguments").read_text(encoding="utf-8").splitlines()
    assert {each.split()[-1] for each in pip_audits} == {lock.name for lock in ROOT.glob("requirements*.lock")}
    assert all("--strict" in each.split() for each in pip_audits)
    assert npm == "--prefix web audit --package-lock-only"
