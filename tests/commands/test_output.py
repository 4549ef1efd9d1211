"""Commands exit quietly and with the usual codes after Ctrl-C, on a closed pipe and on a full disk."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.ports import free_port
from tests.kit.processes import ROOT
from tests.kit.waiting import eventually

TIMEOUT_SECONDS = 30.0
UNREACHABLE_SERVERS = {
    "ORDERS_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}",
    "ORDERS_POSTGRES__DSN": f"postgresql://127.0.0.1:{free_port()}/orders",
}
COMMANDS = [["generate", "--list-faults"], ["doctor"]]
"""The first prints at its end, the second line by line."""
HELP = [["--help"], ["--version"], ["dlq", "replay", "--help"]]


def command(*arguments: str, stdout: int = subprocess.DEVNULL, redirected: str = "") -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "service", *arguments]
    if redirected:
        line = ["sh", "-c", f'exec "$@" {redirected}', "sh", *line]
    buffered = {name: value for name, value in os.environ.items() if not name.startswith(("ORDERS_", "PYTHONUNBUF"))}
    return subprocess.Popen(  # noqa: S603 - a fixed program
        line, env=buffered | UNREACHABLE_SERVERS, cwd=ROOT, text=True, stdout=stdout, stderr=subprocess.PIPE
    )


def result_of(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for the process and return its exit code and standard error."""
    with process:
        errors = process.communicate(timeout=TIMEOUT_SECONDS)[1]
    return process.returncode, errors


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_closed_pipe_ends_a_command_quietly(arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = command(*arguments, stdout=writer)
    os.close(writer)
    assert result_of(process) == (141, "")


@pytest.mark.parametrize("arguments", HELP, ids=" ".join)
def test_a_closed_pipe_ends_the_help_quietly(arguments: list[str]) -> None:
    """The exit code depends on how much output is buffered."""
    reader, writer = os.pipe()
    os.close(reader)
    process = command(*arguments, stdout=writer)
    os.close(writer)
    code, errors = result_of(process)
    assert (code in {0, 141}, errors) == (True, "")


def test_a_pipe_closed_after_the_first_line_ends_a_command_quietly() -> None:
    process = command("doctor", stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("ORDERS_")
    process.stdout.close()
    process.stdout = None
    assert result_of(process) == (141, "")


@pytest.mark.parametrize("arguments", [COMMANDS[0], *HELP], ids=" ".join)
def test_a_command_succeeds_without_standard_output(arguments: list[str]) -> None:
    assert result_of(command(*arguments, redirected=">&-")) == (0, "")


@pytest.mark.parametrize("locale", ["ascii", "latin-1", "utf-8"])
def test_any_text_is_printed_as_utf_8_whatever_the_locale(locale: str) -> None:
    """The text has a character that no other encoding has, and a byte of an argument that is not UTF-8."""
    program = r"from service.pkg.output import *; prepare_streams(); echo('{\"key\": \"\ufffd\udcff\"}')"
    line = [sys.executable, "-c", program]
    printed = subprocess.run(  # noqa: S603 - a fixed program
        line, env=os.environ | {"PYTHONIOENCODING": locale}, cwd=ROOT, check=True, capture_output=True, timeout=30
    ).stdout
    assert json.loads(printed) == {"key": "\ufffd\udcff"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full exists on Linux only")
@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_full_disk_is_reported_in_one_line(arguments: list[str]) -> None:
    assert result_of(command(*arguments, redirected=">/dev/full")) == (1, "orders: no space left on device\n")


@pytest.fixture
def silent_server() -> Iterator[socket.socket]:
    """A server that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(TIMEOUT_SECONDS)
        yield server


@pytest.mark.parametrize(
    "arguments",
    [
        ["doctor"],
        ["check"],
        ["dlq", "list"],
        ["generate"],
        ["rewind", "--to-timestamp", "2026-11-23T10:00:00Z"],
        ["skip-batch", "0", "0", "--dry-run"],
        ["erase", "--yes", "abc"],
        ["prune", "--older-than", "400d", "--yes"],
        ["distribute"],
        ["migrate"],
        ["wait-for-migrations"],
    ],
    ids=" ".join,
)
def test_ctrl_c_ends_a_command_that_waits_for_a_server(
    arguments: list[str], silent_server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"127.0.0.1:{silent_server.getsockname()[1]}"
    monkeypatch.setitem(UNREACHABLE_SERVERS, "ORDERS_KAFKA__BOOTSTRAP_SERVERS", address)
    monkeypatch.setitem(UNREACHABLE_SERVERS, "ORDERS_POSTGRES__DSN", f"postgresql://{address}/orders")
    process = command(*arguments)
    connection, _ = silent_server.accept()
    process.send_signal(signal.SIGINT)
    code, errors = result_of(process)
    connection.close()
    assert "Traceback" not in errors
    assert len(errors.splitlines()) <= 1
    assert code == 130


def test_ctrl_c_drains_a_service_which_exits_with_0(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with command("consumer", redirected=f"2>{log}") as process:
        try:
            eventually(lambda: "cannot reach Kafka" in log.read_text(), TIMEOUT_SECONDS)
            process.send_signal(signal.SIGINT)
            assert process.wait(TIMEOUT_SECONDS) == 0
        finally:
            process.kill()
