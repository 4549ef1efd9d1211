"""A bound on calls that have none."""

import subprocess
import sys
from threading import Event

import pytest

from service.pkg.run_with_timeout import has_unfinished_calls, run_with_timeout
from tests.kit.waiting import eventually

LONG = 10.0
LEAVES_A_CALL_BEHIND = """
import atexit, sys, threading
from service import main
from service.pkg.run_with_timeout import run_with_timeout

def command(_):
    print("done")
    try:
        run_with_timeout(0.01, threading.Event().wait)
    except TimeoutError:
        return 1

main._run = command
atexit.register(print, "the interpreter was finalized")
main.run()
"""


def test_the_result_of_a_call_is_returned() -> None:
    assert run_with_timeout(LONG, lambda: 7) == 7


def test_the_error_of_a_call_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        run_with_timeout(LONG, lambda: 1 / 0)


def test_a_call_that_does_not_end_is_abandoned() -> None:
    for_ever = Event()
    with pytest.raises(TimeoutError, match=r"timed out after 0\.01 s"):
        run_with_timeout(0.01, for_ever.wait)
    assert has_unfinished_calls()
    for_ever.set()
    eventually(lambda: not has_unfinished_calls(), LONG, "the end of the call")


def test_a_process_with_such_a_call_ends_with_its_output_and_code_and_is_not_finalized() -> None:
    command = [sys.executable, "-c", LEAVES_A_CALL_BEHIND]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    assert (ended.returncode, ended.stdout) == (1, "done\n"), ended.stderr
