"""The exit codes of a command."""

from enum import IntEnum


class ExitCode(IntEnum):
    DONE = 0
    FAILED = 1
    USAGE = 2
    """Invalid arguments or settings: nothing was done."""
    INTERRUPTED = 130
    """128 + 2: interrupted by Ctrl-C (SIGINT)."""
    BROKEN_PIPE = 141
    """128 + 13: the reader of standard output closed the pipe (SIGPIPE)."""
