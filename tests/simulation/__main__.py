"""`python -m tests.simulation [--part consumer|api] [--first N] [--seeds N] [--workers N]`: simulates with these seeds.

Without `--part`, both parts. Prints a line each minute, and at the end schedules per minute, distinct timelines, and
which faults struck where. Exits 1 if a seed fails, and prints its timeline with the fewest faults.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from time import monotonic
from typing import Final

from tests.simulation.parts import PARTS, Part, Summary
from tests.simulation.totals import Totals

SEEDS_OF_A_CHUNK: Final = 5
SEEDS_OF_A_MAP: Final = 10_000
PROGRESS_SECONDS: Final = 60.0
MAX_REPORTS: Final = 5


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--part", choices=PARTS, help="what is simulated (default: one after the other)")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1_000, help="how many seeds")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="how many processes")
    parser.add_argument("--until-failure", action="store_true", help="stop at the first seed that fails")
    given = parser.parse_args(arguments)
    seeds = range(given.first, given.first + given.seeds)
    names = [given.part] if given.part else [*PARTS]
    failed = sum(_run(PARTS[name], seeds, given.workers, until_failure=given.until_failure) for name in names)
    return 1 if failed else 0


def _run(part: Part, seeds: range, workers: int, *, until_failure: bool) -> int:
    """Simulate a part; return how many seeds failed."""
    began = printed = monotonic()
    totals = Totals(part, len(seeds))
    for summary in _simulate_all(part, seeds, workers):
        totals.add(summary)
        if summary.problem is not None:
            _print(f"seed {summary.seed}: {summary.problem}")
            if until_failure:
                break
        if monotonic() - printed > PROGRESS_SECONDS:
            printed = monotonic()
            _print(totals.progress(printed - began))
    for line in totals.report(monotonic() - began):
        _print(line)
    for seed in totals.failed[:MAX_REPORTS]:
        _print(f"\n{part.report(seed)}")
    return len(totals.failed)


def _simulate_all(part: Part, seeds: range, workers: int) -> Iterator[Summary]:
    with ProcessPoolExecutor(workers) as pool:
        try:
            for start in range(0, len(seeds), SEEDS_OF_A_MAP):  # the pool keeps a future for each chunk of a call
                some = seeds[start : start + SEEDS_OF_A_MAP]
                yield from pool.map(part.run, some, chunksize=SEEDS_OF_A_CHUNK)
        finally:
            pool.shutdown(cancel_futures=True)


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets of strings must not depend on the process
        os.execve(  # noqa: S606 - this program again
            sys.executable,
            [sys.executable, "-m", "tests.simulation", *sys.argv[1:]],
            {**os.environ, "PYTHONHASHSEED": "0"},
        )
    sys.exit(main(sys.argv[1:]))
