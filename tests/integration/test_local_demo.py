"""`orders demo` as a separate process."""

import argparse
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from typing import IO

import httpx2
import psycopg
import pytest
from confluent_kafka.admin import AdminClient

from local.commands import Commands
from local.demo import Demo, add_arguments
from local.ports import HOST, free_port, is_free
from local.process import Process
from service.errors import ServerUnavailable
from service.pkg.shutdown_event import ShutdownEvent
from tests.kit.waiting import eventually

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
START_TIMEOUT_SECONDS = 120.0
TIMEOUT_SECONDS = 60.0  # deleting thousands of files is slow on a busy disk
FIGURES = re.compile(
    r"^stored +\d+/s, +(?P<stored>\d+) total \| dead letters +\d+ \| cache: (?P<hits>\d+) hits", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Running:
    process: subprocess.Popen[bytes]
    output: Path
    port: int

    @property
    def printed(self) -> str:
        return self.output.read_text()

    def has_orders_and_hits(self) -> bool:
        """Return whether orders were stored and some were served from the cache."""
        assert self.process.poll() is None, self.printed
        last = [(int(line["stored"]), int(line["hits"])) for line in FIGURES.finditer(self.printed)][-1]
        return all(last)

    @property
    def outage_lines(self) -> int:
        """The number of lines of figures that report PostgreSQL as unreachable."""
        return len(re.findall(r"^stored .* \| PostgreSQL unreachable$", self.printed, re.MULTILINE))

    @property
    def stored(self) -> int:
        return [int(line["stored"]) for line in FIGURES.finditer(self.printed)][-1]

    def stop(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        eventually(lambda: self.process.poll() is not None, TIMEOUT_SECONDS, f"the exit after {self.printed}")
        return self.process.returncode


Start = Callable[..., Running]


@pytest.fixture(autouse=True)
def _default_sighup() -> Iterator[None]:
    """Reset SIGHUP, which demos inherit and `nohup pytest` ignores."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def temporary() -> Iterator[Path]:
    """The demo's folder for temporary files, with the permissions of /tmp."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o1777)
        yield Path(name)


@pytest.fixture
def start(tmp_path: Path, temporary: Path) -> Iterator[Start]:
    """`start("--broker", "mock")` runs a demo on a free port, which is stopped at the end of the test."""
    with ExitStack() as running:

        def start(*arguments: str, checkout: Path = ROOT) -> Running:
            port = free_port()
            output = tmp_path / f"{port}.log"
            with output.open("wb") as file:
                demo = demo_of(temporary, file, "--port", str(port), *arguments, checkout=checkout)
                process = running.enter_context(demo)
            running.callback(process.terminate)
            return Running(process, output, port)

        yield start


def demo_of(
    temporary: Path, output: IO[bytes] | int, *arguments: str, checkout: Path = ROOT
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - a fixed program
        [sys.executable, "-m", "service", "demo", *arguments],
        cwd=checkout,
        env=os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": str(checkout)},
        stdout=output,
        stderr=subprocess.STDOUT,
    )


def remaining_processes(temporary: Path) -> list[str]:
    """Return the /proc files of processes that refer to the demo's temporary files; none except on Linux."""
    files = [path for name in ("environ", "cmdline") for path in Path("/proc").glob(f"[0-9]*/{name}")]
    return [str(path) for path in files if str(temporary).encode() in content(path)]


def content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # of another user, or of a process that has exited
        return b""


@pytest.mark.parametrize(
    ("kind", "line", "number"),
    [
        ("kafka", r"^started Apache Kafka \d", signal.SIGINT),
        ("mock", r"^started librdkafka mock.*5 MiB", signal.SIGTERM),
        ("mock", r"^started librdkafka mock.*5 MiB", signal.SIGHUP),
    ],
)
def test_a_signal_ends_the_demo_and_removes_processes_and_files(
    kind: str, line: str, number: signal.Signals, start: Start, temporary: Path
) -> None:
    demo = start("--broker", kind)
    eventually(demo.has_orders_and_hits, START_TIMEOUT_SECONDS, "orders are stored and served")
    assert re.search(line, demo.printed, re.MULTILINE)
    assert demo.stop(number) == 0, demo.printed
    assert list(temporary.iterdir()) == []
    assert remaining_processes(temporary) == []
    assert is_free(demo.port)


def test_the_first_url_printed_is_the_page_on_a_line_of_its_own(start: Start) -> None:
    demo = start("--broker", "mock", "--duration", "2")
    assert demo.process.wait(START_TIMEOUT_SECONDS) == 0, demo.printed
    first = next(line for line in demo.printed.splitlines() if "http://" in line)
    assert first == f"http://{HOST}:{demo.port}"


def test_the_printed_variables_and_addresses_reach_the_servers(start: Start) -> None:
    demo = start("--broker", "mock")
    eventually(demo.has_orders_and_hits, START_TIMEOUT_SECONDS, "orders are stored and served")
    exported = re.findall(r"^  export (\w+)=(\S+)$", demo.printed, re.MULTILINE)
    settings = {name: shlex.split(value)[0] for name, value in exported}
    with psycopg.connect(settings["ORDERS_POSTGRES__DSN"]) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() != (0,)
    assert {"orders", "orders.dlq"} <= AdminClient(
        {"bootstrap.servers": settings["ORDERS_KAFKA__BOOTSTRAP_SERVERS"]}
    ).list_topics(timeout=TIMEOUT_SECONDS).topics.keys()
    for name in ("consumer", "API"):
        url = re.search(rf"^metrics of the {name}: (\S+)$", demo.printed, re.MULTILINE)
        assert url
        assert "orders_" in httpx2.get(url[1]).text
    (list_command,) = re.findall(r"^  curl '(\S+)'$", demo.printed, re.MULTILINE)
    assert len(httpx2.get(list_command).json()["orders"]) == 3


def test_the_mock_cluster_refuses_dead_letters_exactly_once(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS_DEAD_LETTERS__EXACTLY_ONCE", "true")
    demo = start("--broker", "mock")
    assert demo.process.wait(START_TIMEOUT_SECONDS) == 2, demo.printed
    expected = "orders: ORDERS_DEAD_LETTERS__EXACTLY_ONCE: librdkafka's mock cluster does not support it"
    assert demo.printed.splitlines()[-1] == expected


def test_a_demo_with_keys_prints_a_key_for_dead_letters(start: Start) -> None:
    demo = start("--broker", "mock", "--keys")
    eventually(demo.has_orders_and_hits, START_TIMEOUT_SECONDS, "orders are stored and served")
    key = re.search(r"^API key: (\S+)$", demo.printed, re.MULTILINE)
    assert key
    url = f"http://{HOST}:{demo.port}/dead-letters"
    assert httpx2.get(url).status_code == 401
    dead_letters = eventually(
        lambda: httpx2.get(url, headers={"X-API-Key": key[1]}).json()["dead_letters"], TIMEOUT_SECONDS
    )
    assert dead_letters[0]["original"]["topic"] == "orders"


def test_a_closed_output_pipe_ends_the_demo_and_removes_processes_and_files(temporary: Path) -> None:
    arguments = ("--broker", "mock", "--port", str(free_port()))
    with demo_of(temporary, subprocess.PIPE, *arguments) as demo, ExitStack() as ending:
        ending.callback(demo.terminate)
        assert demo.stdout
        lines: list[str] = []
        while not (lines and FIGURES.match(lines[-1])):
            lines.append(demo.stdout.readline().decode())
            assert lines[-1], "".join(lines)
        demo.stdout.close()
        assert demo.wait(TIMEOUT_SECONDS) == 0
    assert list(temporary.iterdir()) == []
    assert remaining_processes(temporary) == []


def test_no_process_outlives_a_killed_demo(start: Start, temporary: Path) -> None:
    demo = start("--broker", "mock")
    eventually(demo.has_orders_and_hits, START_TIMEOUT_SECONDS, "orders are stored and served")
    assert len(remaining_processes(temporary)) > 1 or sys.platform != "linux"
    demo.process.kill()
    eventually(lambda: not remaining_processes(temporary), TIMEOUT_SECONDS, "no process is left")


@pytest.mark.skipif(sys.platform != "linux", reason="uses /proc to find PostgreSQL's processes")
def test_a_suspended_or_killed_postgresql_is_reported_and_the_demo_continues(start: Start, temporary: Path) -> None:
    demo = start("--broker", "mock")
    eventually(demo.has_orders_and_hits, START_TIMEOUT_SECONDS, "orders are stored and served")
    (file,) = temporary.rglob("postmaster.pid")
    postmaster = int(file.read_text().split()[0])
    lost = r"^PostgreSQL unreachable since \d\d:\d\d:\d\d: cached orders are still served; new orders wait in Kafka$"
    send_to_all(postmaster, signal.SIGSTOP)
    eventually(lambda: re.findall(lost, demo.printed, re.MULTILINE), TIMEOUT_SECONDS, "the outage is reported")
    assert "Kafka unreachable" not in demo.printed
    eventually(lambda: demo.outage_lines > 2, TIMEOUT_SECONDS, "figures that report the outage")
    send_to_all(postmaster, signal.SIGCONT)
    eventually(lambda: "PostgreSQL reachable again after " in demo.printed, TIMEOUT_SECONDS, "the recovery is reported")
    stored = demo.stored
    eventually(lambda: demo.stored > stored, TIMEOUT_SECONDS, "orders are stored again")
    send_to_all(postmaster, signal.SIGKILL)
    eventually(
        lambda: len(re.findall(lost, demo.printed, re.MULTILINE)) == 2, TIMEOUT_SECONDS, "the second outage is reported"
    )
    before = demo.outage_lines
    eventually(lambda: demo.outage_lines > before + 2, TIMEOUT_SECONDS, "figures that report the outage")
    assert demo.stop(signal.SIGINT) == 0, demo.printed


def send_to_all(postmaster: int, number: signal.Signals) -> None:
    """Send the signal to the postmaster and to its children, which have their own process groups."""
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    for pid in (postmaster, *map(int, children)):
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def test_reload_restarts_on_changes_and_waits_for_the_next_one_after_a_syntax_error(
    start: Start, tmp_path: Path
) -> None:
    for folder in ("service", "generator", "migrations", "local", "docs", "chart/files"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    demo = start("--broker", "mock", "--reload", checkout=tmp_path)
    changed = tmp_path / "service/handler/http/api.py"
    eventually(demo.has_orders_and_hits, START_TIMEOUT_SECONDS, "orders are stored and served")
    assert title(demo) == "Orders"
    before = changed.read_text()
    changed.write_text("a syntax error")
    eventually(
        lambda: "orders api exited with code 1" in demo.printed, START_TIMEOUT_SECONDS, "the syntax error is reported"
    )
    changed.write_text(before.replace('title="Orders"', 'title="Orders, changed"'))
    eventually(lambda: title(demo) == "Orders, changed", START_TIMEOUT_SECONDS, "the change is loaded")
    eventually(
        lambda: FIGURES.search(demo.printed.split("source code changed")[-1]),
        TIMEOUT_SECONDS,
        "figures are printed again",
    )


def title(demo: Running) -> str | None:
    assert demo.process.poll() is None, demo.printed
    try:
        return str(httpx2.get(f"http://{HOST}:{demo.port}/openapi.json").json()["info"]["title"])
    except httpx2.TransportError:
        return None


def test_a_port_in_use_is_reported_in_one_line_with_port_and_option(start: Start) -> None:
    with closing(socket()) as listener:
        listener.bind((HOST, 0))
        listener.listen()
        port = listener.getsockname()[1]
        demo = start("--port", str(port))
        assert demo.process.wait(TIMEOUT_SECONDS) == 1
    error = (
        rf"orders: cannot listen on port {port} for the API: address already in use\. "
        r"Choose another port with --port, such as make demo ARGS='--port \d+'\n"
    )
    assert re.fullmatch(error, demo.printed)


def test_a_command_that_exits_ends_the_demo_with_the_last_lines_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "consumer.log"
    with (
        ExitStack() as running,
        Commands(tmp_path, {}, 1, ShutdownEvent()) as commands,
        Process("orders consumer", ["sh", "-c", "echo no more orders; exit 1"], log) as child,
    ):
        commands.children.append(child)
        with pytest.raises(ServerUnavailable, match=r"(?s)orders consumer exited with code 1.*no more orders"):
            Demo(tmp_path, arguments(), ShutdownEvent(), running).print_statistics(commands)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args([])
