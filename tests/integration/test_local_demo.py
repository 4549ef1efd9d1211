"""`orders demo`, run as a process."""

import argparse
import os
import re
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
import pytest

from local.commands import Commands
from local.demo import Demo, add_arguments
from local.ports import HOST, free_port, is_free
from local.process import Process
from service.errors import ServerUnavailable
from service.pkg.shutdown_event import ShutdownEvent
from tests.waiting import eventually

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
FIRST_LINES_SECONDS = 120.0
STOP_SECONDS = 60.0  # on a disk that others keep busy, thousands of files are not gone at once
FLOW = re.compile(
    r"^stored +\d+/s, +(?P<stored>\d+) total \| dead letters +\d+ \| cache: (?P<hits>\d+) hits", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Running:
    process: subprocess.Popen[bytes]
    output: Path
    port: int

    @property
    def told(self) -> str:
        return self.output.read_text()

    def flows(self) -> bool:
        """Whether orders were stored and some were answered from memory."""
        assert self.process.poll() is None, self.told
        last = [(int(line["stored"]), int(line["hits"])) for line in FLOW.finditer(self.told)][-1]
        return all(last)

    @property
    def marked(self) -> int:
        """How many lines of figures say that PostgreSQL is not reached."""
        return len(re.findall(r"^stored .* \| PostgreSQL unreachable$", self.told, re.MULTILINE))

    @property
    def stored(self) -> int:
        return [int(line["stored"]) for line in FLOW.finditer(self.told)][-1]

    def stop(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        eventually(lambda: self.process.poll() is not None, STOP_SECONDS, f"an end, after {self.told}")
        return self.process.returncode


Start = Callable[..., Running]


@pytest.fixture(autouse=True)
def _hangs_up() -> Iterator[None]:
    """Let a demo hear that its terminal has hung up, although whoever runs the tests may not wish to (nohup)."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def temporary() -> Iterator[Path]:
    """The demo's folder of temporary files, as open as the real one."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o1777)
        yield Path(name)


@pytest.fixture
def start(tmp_path: Path, temporary: Path) -> Iterator[Start]:
    """`start("--broker", "mock")` runs a demo on a free port; the test's end stops it."""
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
    return subprocess.Popen(  # noqa: S603 our own program
        [sys.executable, "-m", "service", "demo", *arguments],
        cwd=checkout,
        env=os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": str(checkout)},
        stdout=output,
        stderr=subprocess.STDOUT,
    )


def left_over(temporary: Path) -> list[str]:
    """Return the processes that were told of the demo's temporary files; Linux tells."""
    files = [path for name in ("environ", "cmdline") for path in Path("/proc").glob(f"[0-9]*/{name}")]
    return [str(path) for path in files if str(temporary).encode() in content(path)]


def content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # another user's, or gone
        return b""


@pytest.mark.parametrize(
    ("kind", "said", "end"),
    [
        ("kafka", r"^started Apache Kafka \d", signal.SIGINT),
        ("mock", r"^started librdkafka mock.*5 MiB", signal.SIGTERM),
        ("mock", r"^started librdkafka mock.*5 MiB", signal.SIGHUP),
    ],
)
def test_orders_flow_until_a_signal_after_which_nothing_is_left(
    kind: str, said: str, end: signal.Signals, start: Start, temporary: Path
) -> None:
    demo = start("--broker", kind)
    eventually(demo.flows, FIRST_LINES_SECONDS, "orders that flow")
    assert re.search(said, demo.told, re.MULTILINE)
    assert demo.stop(end) == 0, demo.told
    assert list(temporary.iterdir()) == []
    assert left_over(temporary) == []
    assert is_free(demo.port)


def test_the_first_address_that_is_printed_is_that_of_the_page_alone_on_its_line(start: Start) -> None:
    demo = start("--broker", "mock", "--duration", "2")
    assert demo.process.wait(FIRST_LINES_SECONDS) == 0, demo.told
    first = next(line for line in demo.told.splitlines() if "http://" in line)
    assert first == f"http://{HOST}:{demo.port}"


def test_a_demo_with_keys_prints_one_that_opens_the_dead_letters(start: Start) -> None:
    demo = start("--broker", "mock", "--keys")
    eventually(demo.flows, FIRST_LINES_SECONDS, "orders that flow")
    key = re.search(r"^API key: (\S+)$", demo.told, re.MULTILINE)
    assert key
    url = f"http://{HOST}:{demo.port}/dead-letters"
    assert httpx2.get(url).status_code == 401
    dead_letters = eventually(
        lambda: httpx2.get(url, headers={"X-API-Key": key[1]}).json()["dead_letters"], STOP_SECONDS
    )
    assert dead_letters[0]["original"]["topic"] == "orders"


def test_a_demo_that_nobody_reads_any_more_ends_and_leaves_nothing(temporary: Path) -> None:
    arguments = ("--broker", "mock", "--port", str(free_port()))
    with demo_of(temporary, subprocess.PIPE, *arguments) as demo, ExitStack() as ending:
        ending.callback(demo.terminate)
        assert demo.stdout
        told: list[str] = []
        while not (told and FLOW.match(told[-1])):
            told.append(demo.stdout.readline().decode())
            assert told[-1], "".join(told)
        demo.stdout.close()
        assert demo.wait(STOP_SECONDS) == 0
    assert list(temporary.iterdir()) == []
    assert left_over(temporary) == []


def test_nothing_outlives_a_demo_that_is_killed(start: Start, temporary: Path) -> None:
    demo = start("--broker", "mock")
    eventually(demo.flows, FIRST_LINES_SECONDS, "orders that flow")
    assert len(left_over(temporary)) > 1 or sys.platform != "linux"
    demo.process.kill()
    eventually(lambda: not left_over(temporary), STOP_SECONDS, "no process")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells which processes PostgreSQL has")
def test_a_postgresql_that_stands_still_or_dies_is_said_and_the_lines_go_on(start: Start, temporary: Path) -> None:
    demo = start("--broker", "mock")
    eventually(demo.flows, FIRST_LINES_SECONDS, "orders that flow")
    (file,) = temporary.rglob("postmaster.pid")
    postmaster = int(file.read_text().split()[0])
    lost = r"^PostgreSQL unreachable since \d\d:\d\d:\d\d: cached orders are still served; new orders wait in Kafka$"
    send_to_all(postmaster, signal.SIGSTOP)
    eventually(lambda: re.findall(lost, demo.told, re.MULTILINE), STOP_SECONDS, "the loss is said")
    assert "Kafka unreachable" not in demo.told
    eventually(lambda: demo.marked > 2, STOP_SECONDS, "lines of figures that say so")
    send_to_all(postmaster, signal.SIGCONT)
    eventually(lambda: "PostgreSQL reachable again after " in demo.told, STOP_SECONDS, "the return is said")
    stored = demo.stored
    eventually(lambda: demo.stored > stored, STOP_SECONDS, "orders that flow again")
    send_to_all(postmaster, signal.SIGKILL)
    eventually(lambda: len(re.findall(lost, demo.told, re.MULTILINE)) == 2, STOP_SECONDS, "the death is said")
    marked = demo.marked
    eventually(lambda: demo.marked > marked + 2, STOP_SECONDS, "lines of figures that say so")
    assert demo.stop(signal.SIGINT) == 0, demo.told


def send_to_all(postmaster: int, number: signal.Signals) -> None:
    """Send it to PostgreSQL's first process and to its children, which have process groups of their own."""
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    for pid in (postmaster, *map(int, children)):
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def test_a_change_of_the_code_is_seen_without_a_restart_and_a_mistake_waits_for_the_next_one(
    start: Start, tmp_path: Path
) -> None:
    for folder in ("service", "generator", "migrations", "local", "docs", "chart/files"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    demo = start("--broker", "mock", "--reload", checkout=tmp_path)
    changed = tmp_path / "service/handler/http/api.py"
    eventually(demo.flows, FIRST_LINES_SECONDS, "orders that flow")
    assert title(demo) == "Orders"
    before = changed.read_text()
    changed.write_text("an unfinished thought")
    eventually(lambda: "orders api exited with code 1" in demo.told, FIRST_LINES_SECONDS, "the mistake is told")
    changed.write_text(before.replace('title="Orders"', 'title="Orders, changed"'))
    eventually(lambda: title(demo) == "Orders, changed", FIRST_LINES_SECONDS, "the change is seen")
    eventually(lambda: FLOW.search(demo.told.split("source code changed")[-1]), STOP_SECONDS, "orders flow on")


def title(demo: Running) -> str | None:
    assert demo.process.poll() is None, demo.told
    try:
        return str(httpx2.get(f"http://{HOST}:{demo.port}/openapi.json").json()["info"]["title"])
    except httpx2.TransportError:
        return None


def test_a_taken_port_is_one_line_that_names_port_and_option(start: Start) -> None:
    with closing(socket()) as holder:
        holder.bind((HOST, 0))
        holder.listen()
        taken = holder.getsockname()[1]
        demo = start("--port", str(taken))
        assert demo.process.wait(STOP_SECONDS) == 1
    assert demo.told == f"orders: cannot listen on port {taken} for the API (--port): address already in use\n"


def test_a_command_that_ends_by_itself_ends_the_demo_with_its_last_words(tmp_path: Path) -> None:
    log = tmp_path / "consumer.log"
    with (
        ExitStack() as running,
        Commands(tmp_path, {}, 1, ShutdownEvent()) as commands,
        Process("orders consumer", ["sh", "-c", "echo no more orders; exit 1"], log) as child,
    ):
        commands.children.append(child)
        with pytest.raises(ServerUnavailable, match=r"(?s)orders consumer exited with code 1.*no more orders"):
            Demo(tmp_path, arguments(), ShutdownEvent(), running).watch(commands)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args([])
