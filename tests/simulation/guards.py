"""`python -m tests.simulation.guards [WORD]...`: breaks one guarantee at a time; some seed must then fail.

The mutations are those of the fault scenarios, faults that simulations have found, and those of commands. With words,
only those whose guarantee contains one of them. Prints the first seed that fails with each, and exits 1 if there is
none. ORDERS_SIMULATION_SEEDS=N tries only N seeds. ORDERS_SIMULATION_TABLE=FILE updates their rows in the table of that
file.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

from tests.faults.mutations import __main__ as scenarios
from tests.faults.mutations import api
from tests.faults.mutations.mutation import Mutation
from tests.faults.table import aligned, write_into
from tests.simulation import command_guards, former_faults
from tests.simulation.real_servers import ONLY_ON_REAL_SERVERS

MUTATIONS: Final = (*scenarios.MUTATIONS, *former_faults.MUTATIONS, *command_guards.MUTATIONS)
SEEDS: Final = 10_000
TIMEOUT_SECONDS: Final = 3_600
_HEADINGS: Final = ("without this", "seed", "fails with, or why only real servers can show it")
_FAILED: Final = re.compile(r"^seed (\d+): (.+)$", re.MULTILINE)


class Row(NamedTuple):
    """Without a seed, `text` is the reason."""

    guarantee: str
    seed: str
    text: str


def search(mutation: Mutation, folder: Path, seeds: int) -> Row:
    """Return the first seed that fails with the mutation, in a copy of the repository."""
    if reason := ONLY_ON_REAL_SERVERS.get(mutation.guarantee):
        return Row(mutation.guarantee, "", reason)
    path = folder / mutation.replacement.path
    original = path.read_text(encoding="utf-8")
    mutation.replacement.apply(folder)
    try:
        output = _simulate(folder, seeds, part_of(mutation))
    finally:
        path.write_text(original, encoding="utf-8")
    failed = _FAILED.search(output)
    return Row(mutation.guarantee, failed[1], failed[2]) if failed else Row(mutation.guarantee, "none", "NOT FOUND")


def part_of(mutation: Mutation) -> str:
    """Return which simulation must show it."""
    return "api" if mutation in api.MUTATIONS else "consumer"


def _simulate(folder: Path, seeds: int, part: str) -> str:
    command = [sys.executable, "-m", "tests.simulation", "--part", part, "--until-failure", "--seeds", str(seeds)]
    ended = subprocess.run(  # noqa: S603 - our own program
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS
    )
    if ended.returncode and not _FAILED.search(ended.stdout):
        raise SystemExit(f"the simulation did not run:\n{ended.stdout}\n{ended.stderr}")
    return ended.stdout


def copied(folder: Path) -> Path:
    for name in scenarios.COPIED:
        source = scenarios.ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    return folder


def table_of(path: Path) -> dict[str, Row]:
    """Return the rows of the table in a file, by guarantee."""
    table = (
        path.read_text(encoding="utf-8").partition("<!-- guards begins -->\n")[2].partition("<!-- guards ends -->")[0]
    )
    rows = [Row(*(cell.strip() for cell in line.strip("| ").split(" | "))) for line in table.splitlines()[2:]]
    return {row.guarantee: row for row in rows}


def update_table(path: Path, found: Row) -> None:
    """Write a row, and drop those of guarantees that are gone."""
    rows = table_of(path) | {found.guarantee: found}
    kept = [rows[each.guarantee] for each in MUTATIONS if each.guarantee in rows]
    write_into(path, aligned([_HEADINGS, *kept], words=len(_HEADINGS)), "guards")


def main(words: list[str]) -> int:
    table, seeds = os.environ.get("ORDERS_SIMULATION_TABLE"), int(os.environ.get("ORDERS_SIMULATION_SEEDS", SEEDS))
    missed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = copied(Path(name))
        for mutation in MUTATIONS:
            if words and not any(word in mutation.guarantee for word in words):
                continue
            row = search(mutation, folder, seeds)
            missed += row.seed == "none"
            sys.stdout.write(f"{row.guarantee}: {row.seed and f'seed {row.seed}: '}{row.text}\n")
            sys.stdout.flush()
            if table:
                update_table(Path(table), row)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
