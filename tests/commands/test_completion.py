"""The completion scripts, in their shells."""

import shutil
import subprocess
from pathlib import Path

import pytest

from service.main import main
from tests.kit.config import unset_all

COMPLETE = 'source "$1"; COMP_WORDS=(orders "${@:2}"); COMP_CWORD=$(($# - 1)); _shtab_orders; echo "${COMPREPLY[@]}"'


def script_of(shell: str, capsys: pytest.CaptureFixture[str], path: Path) -> Path:
    assert main(["completion", shell]) == 0
    path.write_text(capsys.readouterr().out)
    return path


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    unset_all(monkeypatch)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_accepts_its_completion_script(shell: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    script = script_of(shell, capsys, tmp_path / "orders")
    if program := shutil.which(shell):
        subprocess.run([program, "-n", script], check=True, timeout=60)  # noqa: S603 - parses the script


@pytest.mark.parametrize(
    ("words", "expected"),
    [(["doc"], "doctor"), (["prune", "--dry"], "--dry-run"), (["dlq", "rep"], "replay"), (["completion", "z"], "zsh")],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bash_completes_commands_options_and_choices(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    command = ["bash", "-c", COMPLETE, "bash", str(script_of("bash", capsys, tmp_path / "orders")), *words]
    completed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)  # noqa: S603
    assert completed.stdout.split() == [expected]
