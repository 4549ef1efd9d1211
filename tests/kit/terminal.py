"""A terminal as standard input of a command that runs in this process."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def terminal_input(monkeypatch: pytest.MonkeyPatch, answer: bytes) -> Iterator[None]:
    """Replace standard input by a terminal on which `answer` is typed."""
    master, slave = os.openpty()
    with os.fdopen(master, "wb", buffering=0) as keyboard, os.fdopen(slave) as terminal:
        keyboard.write(answer)
        monkeypatch.setattr(sys, "stdin", terminal)
        yield
