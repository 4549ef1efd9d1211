import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from socket import socket

import pytest

from local import process
from local.ports import HOST, free_port, require_free
from local.process import Process
from service.errors import ServerUnavailable, Stopped
from service.pkg.shutdown_event import ShutdownEvent
from tests.waiting import eventually

ROOT = Path(__file__).parents[3]
STARTS_AND_WAITS = """
import sys
from pathlib import Path
from local.process import Process
Process("it", ["sh", "-c", sys.argv[2]], Path(sys.argv[1])).start()
print("started", flush=True)
sys.stdin.read()
"""


def shell(script: str, log: Path) -> Process:
    return Process("it", ["sh", "-c", script], log)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "it.log"


@pytest.fixture
def held(tmp_path: Path) -> Path:
    """A named pipe: that some process has it open tells that the process lives, and a zombie has nothing open."""
    path = tmp_path / "held"
    os.mkfifo(path)
    return path


def is_held(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:  # ENXIO: nobody would read
        return False
    return True


def test_it_tells_its_process_id_while_it_runs(log: Path) -> None:
    server = shell("echo $$; exec sleep 60", log)
    assert server.pid is None
    with server:
        eventually(lambda: log.read_text().strip() == str(server.pid))
    assert server.pid is None


def test_what_ignores_sigterm_is_ended_by_force_with_its_children(
    log: Path, held: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_STOP_TIMEOUT_SECONDS", 0.2)
    with shell(f"trap '' TERM; sleep 1000 <>{held} & wait; wait", log) as program:
        eventually(lambda: is_held(held))
        program.stop()
        eventually(lambda: not is_held(held))


def test_a_frozen_program_can_be_stopped(log: Path) -> None:
    with shell("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done", log) as program:
        eventually(log.read_text)
        program.freeze()
    assert log.read_text().endswith("bye\n")


def test_a_program_can_be_stopped_before_it_was_started_and_after_it_ended(log: Path) -> None:
    program = shell("exit 0", log)
    program.stop()
    program.start()
    eventually(lambda: program.exit_code == 0)
    program.stop()
    program.stop()


def test_what_we_started_ends_when_we_are_killed(log: Path, held: Path) -> None:
    command = [sys.executable, "-c", STARTS_AND_WAITS, str(log), f"exec sleep 1000 <>{held}"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as ourselves:  # noqa: S603
        assert ourselves.stdout
        assert ourselves.stdout.readline() == b"started\n"
        eventually(lambda: is_held(held))
        ourselves.send_signal(signal.SIGKILL)
    eventually(lambda: not is_held(held))


def test_a_program_that_ends_while_it_is_waited_for_is_told_with_the_end_of_its_log(log: Path) -> None:
    with (
        shell("echo out of eggs; exit 3", log) as program,
        pytest.raises(ServerUnavailable, match=r"(?s)it exited with code 3; last lines of .*it\.log:.*out of eggs"),
    ):
        program.wait_until(lambda: False, 10, ShutdownEvent())


def test_what_is_not_ready_in_time_is_told_with_the_end_of_its_log(log: Path) -> None:
    with shell("sleep 1000", log) as program, pytest.raises(ServerUnavailable, match=r"timed out after 0\.1 s"):
        program.wait_until(lambda: False, 0.1, ShutdownEvent())


def test_a_request_to_stop_ends_the_wait_and_the_program(log: Path) -> None:
    stop = ShutdownEvent()
    stop.set()
    program = shell("sleep 1000", log)
    with pytest.raises(Stopped):
        program.run(10, stop)
    assert program.exit_code is None


def test_a_run_that_fails_is_an_error(log: Path) -> None:
    with pytest.raises(ServerUnavailable, match="exited with code 4"):
        shell("exit 4", log).run(10, ShutdownEvent())


def test_a_run_that_succeeds_returns(log: Path) -> None:
    shell("echo done", log).run(10, ShutdownEvent())
    assert log.read_text() == "done\n"


def test_a_program_that_is_not_there_is_an_error(log: Path) -> None:
    with pytest.raises(ServerUnavailable, match="cannot start it: No such file"):
        Process("it", ["/nowhere/it"], log).start()


def test_a_taken_port_is_an_error_that_names_it_and_its_user() -> None:
    with closing(socket()) as holder:
        holder.bind((HOST, 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(ServerUnavailable, match=f"port {port} for the API: address already in use"):
            require_free(port, "the API")


def test_a_free_port_can_be_taken_and_is_none_that_the_kernel_hands_out() -> None:
    port = free_port()
    require_free(port, "nobody")
    assert port < 32_768
