"""Child processes that never outlive this process, even if it is killed."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import FileIO
from multiprocessing.connection import wait
from pathlib import Path
from typing import Final, NamedTuple, Protocol, Self, TypeVar

from service.errors import ServerUnavailable
from service.pkg.polling import poll
from service.pkg.shutdown_event import ShutdownEvent

_STOP_TIMEOUT_SECONDS: Final = 10.0
_POLL_INTERVAL_SECONDS: Final = 0.02
_TAIL_LINES: Final = 20

# Standard input is a pipe from this process. It reaches end of file when this process ends, even by kill -9.
_WATCHDOG: Final = 'read -r _; kill -s "$1" -- "-$0"; sleep 5; kill -s KILL -- "-$0"'


class Account(NamedTuple):
    """The user and group that a program runs as."""

    uid: int
    gid: int


class Server(Protocol):
    def start(self) -> None:
        """Block until the server is ready."""

    def stop(self) -> None: ...


_Server = TypeVar("_Server", bound=Server)


def environment_without_settings() -> dict[str, str]:
    """Return the environment of this process without settings of Orders."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ORDERS_")}


@contextmanager
def running(server: _Server) -> Iterator[_Server]:
    """Start a server, and stop it at the end, even if it does not become ready."""
    try:
        server.start()
        yield server
    finally:
        server.stop()


class Process:
    """A program in its own session, so that Ctrl-C does not reach it. Its output is appended to `log`."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        account: Account | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._environment = environment
        self._account = account
        self._stop_signal = stop_signal
        self._running: _Running | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the program without waiting until it is ready. Raises ServerUnavailable if it cannot be executed."""
        try:
            self._running = self._execute()
        except OSError as error:
            raise ServerUnavailable(f"cannot start {self.name}: {error.strerror}") from error

    def stop(self) -> None:
        """Send the stop signal, and SIGKILL after 10 s; block until it and its child processes have exited."""
        self._terminate(self._stop_signal)

    def kill(self) -> None:
        """Send SIGKILL; block until it and its child processes have exited."""
        self._terminate(signal.SIGKILL)

    def freeze(self) -> None:
        """Suspend it; its connections stay open."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        self._send(signal.SIGCONT)

    def run(self, seconds: float, stop: ShutdownEvent) -> None:
        """Start it and block until it exits. Raises ServerUnavailable if it fails or times out; Stopped."""
        with self:
            self._wait(lambda: self.exit_code is not None, seconds, stop)
            if self.exit_code:
                raise ServerUnavailable(self._exit_report())

    def wait_until(self, ready: Callable[[], bool], seconds: float, stop: ShutdownEvent) -> None:
        """Block until `ready()` is true. Raises ServerUnavailable if it exits before or on a timeout; Stopped."""

        def ready_and_alive() -> bool:
            self.require_alive()
            return ready()

        self._wait(ready_and_alive, seconds, stop)

    def require_alive(self) -> None:
        """Raise ServerUnavailable, with the last lines of the log, if it has exited."""
        if self.exit_code is not None:
            raise ServerUnavailable(self._exit_report())

    @property
    def pid(self) -> int | None:
        """None if it was not started, or was stopped."""
        return self._running.process.pid if self._running else None

    @property
    def exit_code(self) -> int | None:
        """None while it runs; -N if signal N killed it."""
        return self._running.process.poll() if self._running else None

    def tail(self) -> str:
        """Return the last lines of the log, after a line with its path."""
        lines = self.log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        return "\n".join([f"last lines of {self.log}:", *lines])

    def _execute(self) -> "_Running":
        reading, writing = os.pipe()
        lifeline = FileIO(reading)
        account = self._account
        try:
            with FileIO(writing, "w"), self.log.open("ab") as output:
                process = subprocess.Popen(  # noqa: S603 - the commands are not user input
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=self._environment,
                    cwd="/",  # accessible for every account
                    pass_fds=(writing,),
                    start_new_session=True,
                    user=account and account.uid,
                    group=account and account.gid,
                    extra_groups=account and [],
                )
        except OSError:
            lifeline.close()
            raise
        return _Running(process, lifeline, _start_watchdog(process.pid, self._stop_signal))

    def _wait(self, done: Callable[[], bool], seconds: float, stop: ShutdownEvent) -> None:
        if not poll(done, bool, seconds=seconds, interval=_POLL_INTERVAL_SECONDS, sleep=stop.sleep):
            raise ServerUnavailable(f"{self.name} timed out after {seconds:g} s; {self.tail()}")

    def _exit_report(self) -> str:
        return f"{self.name} exited with code {self.exit_code}; {self.tail()}"

    def _send(self, number: signal.Signals) -> None:
        if self._running and not self._running.has_exited(0):
            with suppress(ProcessLookupError):
                os.killpg(self._running.process.pid, number)

    def _terminate(self, first: signal.Signals) -> None:
        if self._running is None:
            return
        for number in (first, signal.SIGKILL):
            self._send(number)
            self._send(signal.SIGCONT)  # a suspended process handles no other signal
            if self._running.has_exited(_STOP_TIMEOUT_SECONDS):
                break
        self._running.close()
        self._running = None


class _Running(NamedTuple):
    process: subprocess.Popen[bytes]
    lifeline: FileIO
    """A pipe whose other end all child processes inherit, so it reaches end of file when the last of them exits.
    PostgreSQL's child processes can outlive a killed postmaster."""
    watchdog: subprocess.Popen[bytes]

    def has_exited(self, seconds: float) -> bool:
        """Block for at most `seconds`; return whether the process and its child processes have exited."""
        return bool(wait([self.lifeline.fileno()], seconds))

    def close(self) -> None:
        self.process.wait()
        self.watchdog.kill()
        self.watchdog.communicate()
        self.lifeline.close()


def _start_watchdog(group: int, stop_signal: signal.Signals) -> subprocess.Popen[bytes]:
    """Start a shell that terminates the process group when this process ends.

    PR_SET_PDEATHSIG does not suffice: it exists only on Linux, a change of user clears it, and it fires when the thread
    that started the program ends.
    """
    name = stop_signal.name.removeprefix("SIG")
    return subprocess.Popen(  # noqa: S603 - a constant and a number
        ["/bin/sh", "-c", _WATCHDOG, str(group), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
