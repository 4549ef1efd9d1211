"""Standard output, which may be closed or not writable because of a broken pipe or a full disk."""

import errno
import io
import os
import select
import sys
from collections.abc import Callable
from functools import partial
from typing import Final

Echo = Callable[[str], None]
"""Prints a line for the user of a command."""

echo: Final[Echo] = partial(print, flush=True)


def prepare_streams() -> None:
    """Open /dev/null as standard output or standard error if the process was started without one (`>&-`).

    Standard output becomes UTF-8, whatever the locale: dead letters contain any characters, and JSON is always UTF-8.
    A byte of an argument that is not UTF-8 is printed as an escape.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - stays open until exit
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")


def is_output_error(error: BaseException) -> bool:
    """Return whether writing to standard output raised the error, and not a socket or a named file."""
    if isinstance(error, BrokenPipeError):
        return _is_pipe_closed()
    return isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None


def discard_buffered() -> None:
    """Discard buffered output: flushing it at exit would fail again."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)


def _is_pipe_closed() -> bool:
    poll = select.poll()
    poll.register(sys.stdout.fileno(), select.POLLERR)
    return bool(poll.poll(0))
