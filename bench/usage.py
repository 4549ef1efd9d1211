"""CPU time and memory of processes, from /proc."""

import os
from pathlib import Path
from time import clock_gettime
from typing import Final

import psycopg

from service.errors import CommandFailed

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
# Positions in /proc/PID/stat after the command's name, which may contain spaces.
_PARENT_FIELD: Final = 1
_TIME_FIELDS: Final = slice(11, 15)  # utime, stime, cutime, cstime


def require_linux() -> None:
    """Raise CommandFailed on other systems."""
    if not Path("/proc/self/stat").exists():
        raise CommandFailed("`orders bench` needs Linux: it reads CPU time and memory from /proc")


def cpu_seconds(pid: int, *, children: bool = False) -> float:
    """Return user and system time of all threads; with `children`, also of child processes that have exited."""
    times = _fields(pid)[_TIME_FIELDS]
    return sum(map(int, times if children else times[:2])) / _TICKS_PER_SECOND


def fine_cpu_seconds(pid: int) -> float:
    """Return user and system time of all threads with nanosecond resolution, for short measurements.

    Reads the clock of clock_getcpuclockid(3), whose id is computed as in Linux: Python offers it for threads only.
    """
    return clock_gettime((~pid << 3) | 2)


def peak_bytes(pid: int) -> int:
    """Return the peak memory."""
    return _status_bytes(pid, "VmHWM")


def resident_bytes(pid: int) -> int:
    """Return the resident memory."""
    return _status_bytes(pid, "VmRSS")


def children(pid: int) -> list[int]:
    """Return the running child processes of its main thread."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class PostgresUsage:
    """The CPU time of a server: of its postmaster and of all current and former child processes."""

    def __init__(self, dsn: str) -> None:
        self._postmaster = _postmaster(dsn)

    def cpu_seconds(self) -> float | None:
        """Return None if the server runs on another machine."""
        if self._postmaster is None:
            return None
        return cpu_seconds(self._postmaster, children=True) + sum(map(_cpu_seconds_or_0, children(self._postmaster)))


def _postmaster(dsn: str) -> int | None:
    """Return the process id of the postmaster, None if it runs on another machine."""
    with psycopg.connect(dsn) as connection:
        backend = connection.info.backend_pid
        try:
            is_local = Path(f"/proc/{backend}/cmdline").read_bytes().startswith(b"postgres:")
            return int(_fields(backend)[_PARENT_FIELD]) if is_local else None
        except (FileNotFoundError, ProcessLookupError):
            return None


def _status_bytes(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(f"process {pid} has no {name}")


def _cpu_seconds_or_0(pid: int) -> float:
    """Return 0 for a process that has just exited: its CPU time is added to its parent's."""
    try:
        return cpu_seconds(pid)
    except (FileNotFoundError, ProcessLookupError):
        return 0.0


def _fields(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
