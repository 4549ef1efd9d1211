from pathlib import Path

import pytest

from service.errors import CommandFailed, UsageError
from service.pkg.prompt import require_confirmation, require_terminal
from tests.kit.terminal import terminal_input


@pytest.mark.parametrize("answer", ["y", "Y", "yes", " YES "])
def test_yes_confirms(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    with terminal_input(monkeypatch, f"{answer}\n".encode()):
        require_confirmation("Erase?", "nothing was erased")


@pytest.mark.parametrize("answer", [b"\n", b"n\n", b"yesno\n", b"ja\n", b"\x04"])
def test_any_other_answer_and_the_end_of_input_refuse(monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    with terminal_input(monkeypatch, answer), pytest.raises(CommandFailed, match=r"^nothing was erased$"):
        require_confirmation("Erase?", "nothing was erased")


def test_the_question_names_both_answers(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with terminal_input(monkeypatch, b"y\n"):
        require_confirmation("Erase 2 orders?", "nothing was erased")
    assert capsys.readouterr().out == "Erase 2 orders? [y/N] "


def test_without_a_terminal_a_command_names_the_options_to_use(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal_input(monkeypatch, b""):
        require_terminal("erase")
    with Path("/dev/null").open() as no_terminal:
        monkeypatch.setattr("sys.stdin", no_terminal)
        with pytest.raises(UsageError, match=r"^erase: cannot ask .* not a terminal\. Use --yes or --dry-run\.$"):
            require_terminal("erase")


def test_a_program_that_reads_the_output_is_not_asked() -> None:
    with pytest.raises(UsageError, match=r"^erase: --json cannot ask for confirmation\. Use --yes or --dry-run\.$"):
        require_terminal("erase", is_json=True)
