"""Programs that run beside us and end with us."""

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from io import FileIO
from multiprocessing.connection import wait
from pathlib import Path
from time import monotonic
from typing import Final, NamedTuple, Self

from service.errors import ServerUnavailable
from service.pkg.shutdown_event import ShutdownEvent

_STOP_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.02
_LOG_LINES: Final = 20

# Its standard input is a pipe from us that carries nothing: it ends when we do, by whatever way, kill -9 included.
_GUARD: Final = 'read -r _; kill -s "$1" -- "-$0"; sleep 5; kill -s KILL -- "-$0"'


class Account(NamedTuple):
    """Whom a program runs as."""

    uid: int
    gid: int


class Process:
    """One program in a session of its own, so that Ctrl-C reaches us alone; what it prints is appended to `log`."""

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
        """Return as soon as it runs. Raises ServerUnavailable where it can't be executed."""
        try:
            self._running = self._execute()
        except OSError as error:
            raise ServerUnavailable(f"{self.name} can't be started: {error.strerror}") from error

    def stop(self) -> None:
        """Ask it to end, by force after 10 s; return when it is gone, and all that it started."""
        self._end(self._stop_signal)

    def kill(self) -> None:
        """End it with SIGKILL; return when it is gone, and all that it started."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Let it stand still with its connections open."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        self._send(signal.SIGCONT)

    def run(self, seconds: float, stop: ShutdownEvent) -> None:
        """Start it and block until it has ended. Raises ServerUnavailable unless with 0 and in time; Stopped."""
        with self:
            self._wait(lambda: self.exit_code is not None, seconds, stop)
            if self.exit_code:
                raise ServerUnavailable(self._obituary())

    def wait_until(self, ready: Callable[[], bool], seconds: float, stop: ShutdownEvent) -> None:
        """Block until `ready()`. Raises ServerUnavailable when it ends, or that takes too long; Stopped."""

        def ready_and_alive() -> bool:
            self.require_alive()
            return ready()

        self._wait(ready_and_alive, seconds, stop)

    def require_alive(self) -> None:
        """Return if it runs. Raises ServerUnavailable, with the end of its log."""
        if self.exit_code is not None:
            raise ServerUnavailable(self._obituary())

    @property
    def pid(self) -> int | None:
        """None where it was not started, or has been stopped."""
        return self._running.process.pid if self._running else None

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative is the number of the signal that ended it."""
        return self._running.process.poll() if self._running else None

    def tail(self) -> str:
        """Return the last lines of the log, after a line that names it."""
        lines = self.log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        return "\n".join([f"the end of {self.log}:", *lines])

    def _execute(self) -> "_Running":
        reading, writing = os.pipe()
        lifeline = FileIO(reading)
        account = self._account
        try:
            with FileIO(writing, "w"), self.log.open("ab") as output:
                process = subprocess.Popen(  # noqa: S603 - programs of our own choice
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=self._environment,
                    cwd="/",  # one that every account may enter
                    pass_fds=(writing,),
                    start_new_session=True,
                    user=account and account.uid,
                    group=account and account.gid,
                    extra_groups=account and [],
                )
        except OSError:
            lifeline.close()
            raise
        return _Running(process, lifeline, _guard(process.pid, self._stop_signal))

    def _wait(self, done: Callable[[], bool], seconds: float, stop: ShutdownEvent) -> None:
        deadline = monotonic() + seconds
        while not done():
            if monotonic() > deadline:
                raise ServerUnavailable(f"{self.name} took more than {seconds:g} s; {self.tail()}")
            stop.sleep(_LOOK_SECONDS)

    def _obituary(self) -> str:
        return f"{self.name} ended with {self.exit_code}; {self.tail()}"

    def _send(self, number: signal.Signals) -> None:
        if self._running and not self._running.gone_within(0):
            with suppress(ProcessLookupError):
                os.killpg(self._running.process.pid, number)

    def _end(self, first: signal.Signals) -> None:
        if self._running is None:
            return
        for number in (first, signal.SIGKILL):
            self._send(number)
            self._send(signal.SIGCONT)  # a suspended process receives no other signal
            if self._running.gone_within(_STOP_SECONDS):
                break
        self._running.close()
        self._running = None


class _Running(NamedTuple):
    process: subprocess.Popen[bytes]
    lifeline: FileIO
    """Ends when the last one that inherited its other end does: PostgreSQL's processes outlive a killed postmaster."""
    guard: subprocess.Popen[bytes]

    def gone_within(self, seconds: float) -> bool:
        return bool(wait([self.lifeline.fileno()], seconds))

    def close(self) -> None:
        self.process.wait()
        self.guard.kill()
        self.guard.communicate()
        self.lifeline.close()


def _guard(group: int, stop_signal: signal.Signals) -> subprocess.Popen[bytes]:
    """Start what ends the process group when we can't any more.

    Not PR_SET_PDEATHSIG: that is Linux alone, is cleared by a change of user, and comes when one of our threads ends.
    """
    name = stop_signal.name.removeprefix("SIG")
    return subprocess.Popen(  # noqa: S603 - a constant and a number
        ["/bin/sh", "-c", _GUARD, str(group), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
