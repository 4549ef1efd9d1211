"""The CPU time of child processes, read from /proc."""

import os
import subprocess
import sys

from bench.usage import children, cpu_seconds


def test_the_cpu_time_of_children_counts_after_they_exit() -> None:
    before = cpu_seconds(os.getpid(), children=True) - cpu_seconds(os.getpid())
    subprocess.run([sys.executable, "-c", "sum(range(5_000_000))"], check=True)
    assert cpu_seconds(os.getpid(), children=True) - cpu_seconds(os.getpid()) > before


def test_children_are_the_running_child_processes() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.pid in children(os.getpid())
    assert child.pid not in children(os.getpid())
