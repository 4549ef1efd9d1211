"""The CPU time and memory of a process, read from /proc."""

import os
import resource
import time
from pathlib import Path

from bench.usage import cpu_seconds, fine_cpu_seconds, peak_bytes, resident_bytes

TICK = 1 / os.sysconf("SC_CLK_TCK")


def test_cpu_seconds_is_the_cpu_time_of_all_threads() -> None:
    before = time.process_time()
    measured = cpu_seconds(os.getpid())
    assert before - 3 * TICK <= measured <= time.process_time() + 3 * TICK


def test_peak_memory_is_at_least_the_resident_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    assert pages * resource.getpagesize() <= peak_bytes(os.getpid()) + 2**20
    assert peak_bytes(os.getpid()) > 2**20


def test_fine_cpu_seconds_is_the_clock_of_process_time() -> None:
    before = time.process_time()
    assert before <= fine_cpu_seconds(os.getpid()) <= time.process_time()


def test_resident_memory_is_at_most_the_peak() -> None:
    assert 0 < resident_bytes(os.getpid()) <= peak_bytes(os.getpid())
