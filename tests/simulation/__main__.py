"""`python -m tests.simulation [--first N] [--seeds N] [--workers N]`: simulates the consumer with these seeds.

Prints schedules per minute, distinct timelines, and which faults struck in which stages. Exits 1 if a seed fails, and
prints its timeline with the fewest faults.
"""

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from time import monotonic
from typing import Final, NamedTuple

from tests.simulation import coverage, shrink
from tests.simulation.nemesis import Pair
from tests.simulation.plan import plan_of
from tests.simulation.simulation import simulate

SEEDS_OF_A_CHUNK: Final = 5
MAX_REPORTS: Final = 5


class Summary(NamedTuple):
    seed: int
    problem: str | None
    pairs: frozenset[Pair]
    digest: str


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1_000, help="how many seeds")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="how many processes")
    parser.add_argument("--until-failure", action="store_true", help="stop at the first seed that fails")
    given = parser.parse_args(arguments)
    began = monotonic()
    summaries = []
    for summary in _simulate_all(range(given.first, given.first + given.seeds), given.workers):
        summaries.append(summary)
        if summary.problem is not None:
            _print(f"seed {summary.seed}: {summary.problem}")
            if given.until_failure:
                break
    failed = [each.seed for each in summaries if each.problem is not None]
    minutes = (monotonic() - began) / 60
    _print(f"{len(summaries):,} schedules, {len(summaries) / minutes:,.0f} a minute, {len(failed):,} failed")
    _print(f"{len({each.digest for each in summaries}):,} distinct timelines")
    for line in coverage.report({pair for each in summaries for pair in each.pairs}):
        _print(line)
    for seed in failed[:MAX_REPORTS]:
        _print(f"\n{shrink.report(shrink.shrink(simulate(plan_of(seed))))}")
    return 1 if failed else 0


def _simulate_all(seeds: range, workers: int) -> Iterator[Summary]:
    chunks = [seeds[start : start + SEEDS_OF_A_CHUNK] for start in range(0, len(seeds), SEEDS_OF_A_CHUNK)]
    with ProcessPoolExecutor(workers) as pool:
        try:
            for summaries in pool.map(_simulate, chunks):
                yield from summaries
        finally:
            pool.shutdown(cancel_futures=True)


def _simulate(seeds: Iterable[int]) -> list[Summary]:
    results = [simulate(plan_of(seed)) for seed in seeds]
    return [Summary(each.plan.seed, each.problem, each.pairs, each.digest) for each in results]


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
