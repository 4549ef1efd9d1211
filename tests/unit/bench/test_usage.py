"""What a process used, as /proc tells it."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from bench.usage import children, cpu_seconds, fine_cpu_seconds, peak_bytes, resident_bytes

TICK = 1 / os.sysconf("SC_CLK_TCK")


def test_processor_time_is_what_the_kernel_accounts_for_all_threads() -> None:
    before = time.process_time()
    told = cpu_seconds(os.getpid())
    assert before - 3 * TICK <= told <= time.process_time() + 3 * TICK


def test_the_time_of_children_counts_once_they_have_ended() -> None:
    before = cpu_seconds(os.getpid(), children=True) - cpu_seconds(os.getpid())
    subprocess.run([sys.executable, "-c", "sum(range(5_000_000))"], check=True)
    assert cpu_seconds(os.getpid(), children=True) - cpu_seconds(os.getpid()) > before


def test_the_peak_of_memory_is_at_least_what_is_held_now() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    assert pages * resource.getpagesize() <= peak_bytes(os.getpid()) + 2**20
    assert peak_bytes(os.getpid()) > 2**20


def test_the_fine_clock_is_the_one_that_the_process_has_itself() -> None:
    before = time.process_time()
    assert before <= fine_cpu_seconds(os.getpid()) <= time.process_time()


def test_what_is_held_now_is_not_more_than_the_peak() -> None:
    assert 0 < resident_bytes(os.getpid()) <= peak_bytes(os.getpid())


def test_children_are_those_that_run() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.pid in children(os.getpid())
    assert child.pid not in children(os.getpid())
