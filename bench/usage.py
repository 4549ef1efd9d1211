"""CPU time and memory of processes, from /proc."""

import os
from pathlib import Path
from time import clock_gettime
from typing import Final

import psycopg

from service.errors import CommandError

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PARENT: Final = 1  # places of fields after the command's name, which may hold spaces
_TIMES: Final = slice(11, 15)  # own user and system time, and those of children that ended and were waited for


def require() -> None:
    """Return where there is something to read. Raises CommandError."""
    if not Path("/proc/self/stat").exists():
        raise CommandError("`orders bench` reads from /proc what processes use: it needs Linux")


def cpu_seconds(pid: int, *, children: bool = False) -> float:
    """Return user and system time of all threads; with `children`, also of ended child processes."""
    times = _fields(pid)[_TIMES]
    return sum(map(int, times if children else times[:2])) / _TICKS


def fine_cpu_seconds(pid: int) -> float:
    """Return the same, without children, in nanoseconds rather than in ticks: for what is over in a moment.

    It is the clock of clock_getcpuclockid(3), which Python has for threads alone, numbered as Linux does.
    """
    return clock_gettime((~pid << 3) | 2)


def peak_bytes(pid: int) -> int:
    """Return the peak memory."""
    return _status_bytes(pid, "VmHWM")


def resident_bytes(pid: int) -> int:
    """Return the memory that it holds."""
    return _status_bytes(pid, "VmRSS")


def children(pid: int) -> list[int]:
    """Return the running child processes of its main thread."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class PostgresUsage:
    """The processor time of a server: its postmaster, the processes that it has, and those that it had."""

    def __init__(self, dsn: str) -> None:
        self._postmaster = _postmaster(dsn)

    def cpu_seconds(self) -> float | None:
        """None where the server is on another machine."""
        if self._postmaster is None:
            return None
        return cpu_seconds(self._postmaster, children=True) + sum(map(_seconds_or_gone, children(self._postmaster)))


def _postmaster(dsn: str) -> int | None:
    """Return the parent of our own backend, if that is a process of this machine."""
    with psycopg.connect(dsn) as connection:
        backend = connection.info.backend_pid
        try:
            ours = Path(f"/proc/{backend}/cmdline").read_bytes().startswith(b"postgres:")
            return int(_fields(backend)[_PARENT]) if ours else None
        except (FileNotFoundError, ProcessLookupError):
            return None


def _status_bytes(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(f"process {pid} has no {name}")


def _seconds_or_gone(pid: int) -> float:
    """Return 0 for one that has just ended: its parent's account has it then, or will."""
    try:
        return cpu_seconds(pid)
    except (FileNotFoundError, ProcessLookupError):
        return 0.0


def _fields(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
