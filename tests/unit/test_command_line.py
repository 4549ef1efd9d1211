"""The parser of the commands: hints for misspelled words, global options, and shell completion."""

import pytest

from service.command_line import COMMANDS, import_command, parse, parser
from service.main import main
from tests.kit.config import unset_all


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["doctr"], "did you mean doctor?"),
        (["dlq", "lst"], "did you mean list?"),
        (["prune", "--dry-rn"], "did you mean --dry-run?"),
        (["dlq", "list", "--ordr=1"], "did you mean --order?"),
        (["dlq", "list", "--reason", "invald"], "did you mean invalid?"),
        (["--jsn", "doctor"], "did you mean --json?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_nearest_name_is_suggested(arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert capsys.readouterr().err.endswith(f"; {hint}\n")


@pytest.mark.parametrize("arguments", [["xyzzy"], ["doctor", "--xyzzy"], ["doctor", "doctor"]], ids=" ".join)
def test_nothing_is_suggested_if_no_name_is_near(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "did you mean" not in capsys.readouterr().err


def test_the_usage_of_the_command_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["prune", "--older"])
    assert capsys.readouterr().err.startswith("usage: orders prune ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--log-format", "text", "dlq", "list"],
        ["dlq", "--log-format", "text", "list"],
        ["dlq", "list", "--log-format", "text"],
    ],
    ids=" ".join,
)
def test_a_global_option_may_be_before_or_after_the_command(arguments: list[str]) -> None:
    root = parser({"dlq": import_command("dlq")})
    assert parse(root, arguments).log_format == "text"
    assert parse(root, ["dlq", "list"]).log_format is None


def test_json_is_refused_by_a_command_without_data(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--json", "migrate"])
    assert "--json: this command prints no data" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_names_each_command_and_its_options(
    shell: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    unset_all(monkeypatch)
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(name in script for name in COMMANDS)
    assert all(option in script for option in ("dry-run", "forget-older-than", "after-crash", "log-format"))
