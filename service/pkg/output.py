"""Standard output that ends before the command does: a closed pipe, a full disk, none at all."""

import errno
import os
import select
import sys
from typing import Final

BROKEN_PIPE: Final = 141
"""The exit code of a program that SIGPIPE ends: 128 + 13."""


def provide_streams() -> None:
    """Let a process that was started without standard output or error (`>&-`) write to nowhere."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - for as long as the process lives
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115


def failed(error: BaseException) -> bool:
    """Tell whether an error is that nothing can be written any more, and not one of a socket or of a named file."""
    if isinstance(error, BrokenPipeError):
        return _reader_is_gone()
    return isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None


def discard() -> None:
    """Send what is still buffered nowhere: the interpreter would complain of it at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _reader_is_gone() -> bool:
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))
