"""How commands end whose output nobody takes, and those that Ctrl-C ends: quietly, and with the usual exit codes."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.ports import free_port
from tests.processes import ROOT
from tests.waiting import eventually

SECONDS = 30.0
NOWHERE = {
    "ORDERS_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}",
    "ORDERS_POSTGRES__DSN": f"postgresql://127.0.0.1:{free_port()}/orders",
}
COMMANDS = [["generate", "--list-faults"], ["doctor"]]
"""One prints at its end, the other line by line."""
HELP = [["--help"], ["--version"], ["dlq", "replay", "--help"]]


def command(*words: str, stdout: int = subprocess.DEVNULL, redirected: str = "") -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "service", *words]
    if redirected:
        line = ["sh", "-c", f'exec "$@" {redirected}', "sh", *line]
    buffered = {name: value for name, value in os.environ.items() if not name.startswith(("ORDERS_", "PYTHONUNBUF"))}
    return subprocess.Popen(  # noqa: S603 - our own program
        line, env=buffered | NOWHERE, cwd=ROOT, text=True, stdout=stdout, stderr=subprocess.PIPE
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return the exit code and what came to standard error."""
    with process:
        errors = process.communicate(timeout=SECONDS)[1]
    return process.returncode, errors


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_reader_that_goes_ends_a_command_quietly(words: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = command(*words, stdout=writer)
    os.close(writer)
    assert ended(process) == (141, "")


@pytest.mark.parametrize("words", HELP, ids=" ".join)
def test_a_reader_that_goes_ends_the_help_quietly(words: list[str]) -> None:
    """Whether it notices depends on how much is held back."""
    reader, writer = os.pipe()
    os.close(reader)
    process = command(*words, stdout=writer)
    os.close(writer)
    code, errors = ended(process)
    assert (code in {0, 141}, errors) == (True, "")


def test_a_reader_that_goes_after_a_line_ends_it_too() -> None:
    process = command("doctor", stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("ORDERS_")
    process.stdout.close()
    process.stdout = None
    assert ended(process) == (141, "")


@pytest.mark.parametrize("words", [COMMANDS[0], *HELP], ids=" ".join)
def test_without_standard_output_a_command_does_its_work(words: list[str]) -> None:
    assert ended(command(*words, redirected=">&-")) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_full_disk_is_one_line(words: list[str]) -> None:
    assert ended(command(*words, redirected=">/dev/full")) == (1, "orders: no space left on device\n")


@pytest.fixture
def mute() -> Iterator[socket.socket]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(SECONDS)
        yield server


@pytest.mark.parametrize(
    "words",
    [
        ["doctor"],
        ["check"],
        ["dlq", "list"],
        ["generate"],
        ["rewind", "--to-timestamp", "2026-11-23T10:00:00Z"],
        ["skip-batch", "0", "0", "--dry-run"],
        ["erase", "--yes", "abc"],
        ["migrate"],
        ["wait-for-migrations"],
    ],
    ids=" ".join,
)
def test_ctrl_c_ends_a_command_that_waits_for_a_server(
    words: list[str], mute: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"127.0.0.1:{mute.getsockname()[1]}"
    monkeypatch.setitem(NOWHERE, "ORDERS_KAFKA__BOOTSTRAP_SERVERS", address)
    monkeypatch.setitem(NOWHERE, "ORDERS_POSTGRES__DSN", f"postgresql://{address}/orders")
    process = command(*words)
    connection, _ = mute.accept()
    process.send_signal(signal.SIGINT)
    code, errors = ended(process)
    connection.close()
    assert "Traceback" not in errors
    assert len(errors.splitlines()) <= 1
    assert code == 130


def test_a_service_that_ctrl_c_drains_has_done_its_work(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with command("consumer", redirected=f"2>{log}") as process:
        eventually(lambda: "cannot reach Kafka" in log.read_text(), SECONDS)
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0
