import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from local import process
from local.process import Process
from service.errors import ServerUnavailable, Stopped
from service.pkg.shutdown_event import ShutdownEvent
from tests.kit.waiting import eventually

ROOT = Path(__file__).parents[2]
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
def pipe(tmp_path: Path) -> Path:
    """A named pipe that the child keeps open, to detect when it has exited. A zombie has no open files."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def is_open(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:  # ENXIO: no process has it open for reading
        return False
    return True


def test_the_process_id_is_known_while_the_process_runs(log: Path) -> None:
    server = shell("echo $$; exec sleep 60", log)
    assert server.pid is None
    with server:
        eventually(lambda: log.read_text().strip() == str(server.pid))
    assert server.pid is None


def test_a_process_that_ignores_sigterm_is_killed_with_its_children(
    log: Path, pipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_STOP_TIMEOUT_SECONDS", 0.2)
    with shell(f"trap '' TERM; sleep 1000 <>{pipe} & wait; wait", log) as program:
        eventually(lambda: is_open(pipe))
        program.stop()
        eventually(lambda: not is_open(pipe))


def test_a_frozen_process_can_be_stopped(log: Path) -> None:
    with shell("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done", log) as program:
        eventually(log.read_text)
        program.freeze()
    assert log.read_text().endswith("bye\n")


def test_a_process_can_be_stopped_before_its_start_and_after_its_exit(log: Path) -> None:
    program = shell("exit 0", log)
    program.stop()
    program.start()
    eventually(lambda: program.exit_code == 0)
    program.stop()
    program.stop()


def test_a_process_ends_when_its_parent_is_killed(log: Path, pipe: Path) -> None:
    command = [sys.executable, "-c", STARTS_AND_WAITS, str(log), f"exec sleep 1000 <>{pipe}"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:  # noqa: S603
        assert parent.stdout
        assert parent.stdout.readline() == b"started\n"
        eventually(lambda: is_open(pipe))
        parent.send_signal(signal.SIGKILL)
    eventually(lambda: not is_open(pipe))


def test_a_process_that_exits_during_wait_until_is_reported_with_its_log(log: Path) -> None:
    with (
        shell("echo out of memory; exit 3", log) as program,
        pytest.raises(ServerUnavailable, match=r"(?s)it exited with code 3; last lines of .*it\.log:.*out of memory"),
    ):
        program.wait_until(lambda: False, 10, ShutdownEvent())


def test_a_process_that_is_not_ready_in_time_is_reported_with_its_log(log: Path) -> None:
    with shell("sleep 1000", log) as program, pytest.raises(ServerUnavailable, match=r"timed out after 0\.1 s"):
        program.wait_until(lambda: False, 0.1, ShutdownEvent())


def test_a_shutdown_request_ends_run_and_the_process(log: Path) -> None:
    stop = ShutdownEvent()
    stop.set()
    program = shell("sleep 1000", log)
    with pytest.raises(Stopped):
        program.run(10, stop)
    assert program.exit_code is None


def test_a_failed_run_is_an_error(log: Path) -> None:
    with pytest.raises(ServerUnavailable, match="exited with code 4"):
        shell("exit 4", log).run(10, ShutdownEvent())


def test_a_successful_program_raises_no_error(log: Path) -> None:
    shell("echo done", log).run(10, ShutdownEvent())
    assert log.read_text() == "done\n"


def test_a_missing_program_is_an_error(log: Path) -> None:
    with pytest.raises(ServerUnavailable, match="cannot start it: No such file"):
        Process("it", ["/nowhere/it"], log).start()
