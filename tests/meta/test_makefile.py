"""The Makefile has one target for each daily action."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def make(*arguments: str) -> str:
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout  # noqa: S603


def test_help_lists_every_target() -> None:
    (targets,) = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(re.findall(r"^  make (\S+) +\S", make("help"), re.MULTILINE)) == sorted(targets.split())


@pytest.mark.parametrize(
    ("target", "command"), [("migrate", "migrate"), ("run-consumer", "consumer"), ("run-api", "api")]
)
def test_each_service_has_a_target_that_runs_it(target: str, command: str) -> None:
    assert make("--dry-run", target).splitlines()[-1] == f".venv/bin/orders {command}"


def test_an_image_has_the_time_of_its_commit() -> None:
    done = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S607
    if done.returncode:
        pytest.skip("NOT RUN: TIME OF THE IMAGE: NO GIT REPOSITORY")
    engine = "DOCKER=sh -c 'printenv SOURCE_DATE_EPOCH'"
    assert make("image", engine) == done.stdout


def test_named_tests_run_without_the_checks_and_the_page() -> None:
    commands = make("--dry-run", "test", "ARGS=tests/unit -k decode")
    assert commands.splitlines()[-1] == ".venv/bin/pytest tests/unit -k decode"
    assert re.findall(r"ruff|mypy|npm", commands) == []


def test_pre_commit_runs_the_commands_of_make_check_python_and_downloads_nothing() -> None:
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert repository["repo"] == "local"
    entries = "\n".join(hook["entry"] for hook in repository["hooks"])
    assert checkers(entries) == checkers(make("--dry-run", "check-python"))


def checkers(commands: str) -> list[str]:
    return re.findall(r"^\.venv/bin/(ruff \w+|mypy)", commands, re.MULTILINE)


NPM_ERRORS = {
    "npm error code ECONNREFUSED\nnpm error errno ECONNREFUSED\nnpm error FetchError: connection refused": (
        "npm: FetchError: connection refused"
    ),
    "sh: 1: npm: not found": "npm: sh: 1: npm: not found",
}


@pytest.mark.parametrize(("output", "cause"), NPM_ERRORS.items(), ids=["npm's own", "other"])
def test_the_cause_of_a_failed_npm_is_one_line(output: str, cause: str) -> None:
    rule = "npm-cause:; @printf '%s\\n' \"$$OUTPUT\" | awk '$(NPM_CAUSE)'"
    assert make("--eval", rule, "npm-cause", f"OUTPUT={output}") == f"{cause}\n"
