"""Handles a standard output that is closed, or that cannot be written: a broken pipe or a full disk."""

import errno
import os
import select
import sys
from typing import Final

SIGPIPE_EXIT_CODE: Final = 141
"""128 + 13: what a shell reports for a process killed by SIGPIPE."""


def provide_streams() -> None:
    """Open /dev/null as standard output or error if the process was started without (`>&-`)."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - for as long as the process lives
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115


def failed(error: BaseException) -> bool:
    """Return whether an error is one of standard output, not of a socket or a named file."""
    if isinstance(error, BrokenPipeError):
        return _is_pipe_closed()
    return isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None


def discard() -> None:
    """Discard buffered output: flushing it at exit would fail again."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)


def _is_pipe_closed() -> bool:
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))
