"""What a command prints for people and, with `--json`, for programs."""

import argparse
import re

import pytest

from service.pkg.report import add_json_option, reporting


def run(*arguments: str, fails: bool = False) -> None:
    parser = argparse.ArgumentParser()
    add_json_option(parser)
    with reporting(parser.parse_args(arguments)) as report:
        report.line("sent 1")
        report.add(sent=1, topic="заказы")
        report.add(sent=2)
        if fails:
            raise KeyError
        report.line("sent 2")


def test_the_help_explains_the_option() -> None:
    parser = argparse.ArgumentParser()
    add_json_option(parser)
    assert re.search(r"--json +print one JSON object instead of text$", parser.format_help(), re.MULTILINE)


def test_people_read_lines(capsys: pytest.CaptureFixture[str]) -> None:
    run()
    assert capsys.readouterr().out == "sent 1\nsent 2\n"


def test_programs_read_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    run("--json")
    assert capsys.readouterr().out == '{"sent": 2, "topic": "заказы"}\n'


def test_the_object_is_printed_even_if_the_command_fails(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError):
        run("--json", fails=True)
    assert capsys.readouterr().out == '{"sent": 2, "topic": "заказы"}\n'


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_without_anything_to_report_nothing_is_printed(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    add_json_option(parser)
    with reporting(parser.parse_args(arguments)):
        pass
    assert capsys.readouterr().out == ""
