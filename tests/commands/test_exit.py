"""How a process ends: after a signal at a bad moment, and when its libraries crash while they clean up."""

import subprocess
import sys

STORM = """
import random, signal
from service.pkg.shutdown_event import ShutdownEvent
stop = ShutdownEvent()
signal.signal(signal.SIGALRM, lambda *_: stop.set())
for _ in range(30_000):
    stop = ShutdownEvent()
    signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 5e-5))
    while not stop.is_set():
        stop.wait(0)
"""


def test_a_signal_during_a_wait_does_not_deadlock() -> None:
    subprocess.run([sys.executable, "-c", STORM], check=True, timeout=30)  # noqa: S603 - our own text


IMPORT_INTERRUPTED = """
import signal, sys
from service import __main__, main

def interrupt(_):
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        raise ImportError("as some packages do") from None

main.import_command = interrupt
sys.argv = ["orders", "doctor"]
__main__.run()
"""


def test_an_interrupt_during_an_import_ends_without_a_traceback() -> None:
    command = [sys.executable, "-c", IMPORT_INTERRUPTED]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


CRASHES_DURING_CLEANUP = """
import ctypes
from service import main

def command(*_):
    print("done")
    return 1

main._run = command
libc = ctypes.CDLL(None)
libc.on_exit(libc.abort, None)
main.run()
"""


def test_a_process_ends_with_its_output_and_code_although_cleaning_up_would_crash_it() -> None:
    command = [sys.executable, "-c", CRASHES_DURING_CLEANUP]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    assert (ended.returncode, ended.stdout) == (1, "done\n"), ended.stderr
