"""`python -m tests.simulation.guards [WORD]...`: breaks one guarantee at a time; some seed must then fail.

The mutations are those of the fault scenarios, as far as they change the consumer. With words, only those whose
guarantee contains one of them. Prints the first seed that fails with each, and exits 1 if there is none.
ORDERS_SIMULATION_SEEDS=N tries only N seeds.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

from tests.faults.mutations import consumers, dead_letters, kafka, postgres
from tests.faults.mutations.__main__ import COPIED, ROOT
from tests.faults.mutations.mutation import Mutation
from tests.simulation.real_servers import ONLY_ON_REAL_SERVERS

MUTATIONS: Final = (*consumers.MUTATIONS, *dead_letters.MUTATIONS, *kafka.MUTATIONS, *postgres.MUTATIONS)
SEEDS: Final = 10_000
TIMEOUT_SECONDS: Final = 3_600
NOT_FOUND: Final = "NOT FOUND"
_FAILED: Final = re.compile(r"^seed (\d+): (.+)$", re.MULTILINE)


class Found(NamedTuple):
    seed: int
    problem: str


def find(mutation: Mutation, folder: Path, seeds: int) -> Found | None:
    """Return the first seed that fails with the mutation, in a copy of the repository."""
    path = folder / mutation.replacement.path
    original = path.read_text(encoding="utf-8")
    mutation.replacement.apply(folder)
    try:
        output = _simulate(folder, seeds)
    finally:
        path.write_text(original, encoding="utf-8")
    failed = _FAILED.search(output)
    return Found(int(failed[1]), failed[2]) if failed else None


def _simulate(folder: Path, seeds: int) -> str:
    command = [sys.executable, "-m", "tests.simulation", "--until-failure", "--seeds", str(seeds)]
    ended = subprocess.run(  # noqa: S603 - our own program
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS
    )
    if ended.returncode and not _FAILED.search(ended.stdout):
        raise SystemExit(f"the simulation did not run:\n{ended.stdout}\n{ended.stderr}")
    return ended.stdout


def copied(folder: Path) -> Path:
    for name in COPIED:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    return folder


def main(words: list[str]) -> int:
    missed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = copied(Path(name))
        for mutation in MUTATIONS:
            if words and not any(word in mutation.guarantee for word in words):
                continue
            result = _result(mutation, folder)
            missed += result == NOT_FOUND
            sys.stdout.write(f"{mutation.guarantee}: {result}\n")
            sys.stdout.flush()
    return 1 if missed else 0


def _result(mutation: Mutation, folder: Path) -> str:
    if reason := ONLY_ON_REAL_SERVERS.get(mutation.guarantee):
        return f"only on real servers: {reason}"
    found = find(mutation, folder, int(os.environ.get("ORDERS_SIMULATION_SEEDS", SEEDS)))
    return f"seed {found.seed}: {found.problem}" if found else NOT_FOUND


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
