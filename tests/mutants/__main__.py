"""`python -m tests.mutants [PACKAGE]...`: mutates each package with mutmut, in a copy of the repository.

Prints the mutants that survive the unit tests and have no reason in survivors.txt, and the reasons of mutants that no
longer survive; exits 1 if there is one. ORDERS_MUTANTS_TABLE=FILE updates the rows of the packages in the table of that
file. PYTHONPATH must contain mutmut.
"""

import datetime as dt
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from local.postgres import postgres
from tests.faults.table import aligned, write_into
from tests.kit import servers
from tests.mutants.mutant import Mutant, Result, results
from tests.mutants.packages import PACKAGES, Package
from tests.mutants.survivors import FILE, paragraphs, reasons

ROOT: Final = Path(__file__).parents[2]
HEADINGS: Final = ("package", "commit", "date", "mutants", *(each.value for each in Result), "killed, of the tested")
_WORDS: Final = 3
_SELECTED: Final = "not integration or shared_servers"
"""Without the integration tests that start a server."""
_MYPY_ARGUMENTS: Final = ("--config-file", "tests/mutants/mypy.ini", "--output", "json")
_MUTANTS_PER_CPU: Final = 2
"""At a time, because mutants that hang run until their timeout: 6 times what their tests take, and 6 s."""


@contextmanager
def environment(package: Package) -> Iterator[Mapping[str, str]]:
    """Run the PostgreSQL that the package's tests need, and yield the environment of mutmut.

    Each test has a database of its own, and a test that is killed leaves only that.
    """
    if not package.needs_postgres:
        yield os.environ
        return
    with tempfile.TemporaryDirectory() as logs, postgres(Path(logs), fsync=False) as server:
        given = {servers.POSTGRES_ADDRESS: server.dsn, servers.KAFKA_ADDRESS: "none"}
        yield os.environ | {servers.REQUESTED_SOURCE: servers.Source.GIVEN} | given


def run(package: Package, folder: Path, environ: Mapping[str, str]) -> list[tuple[Mutant, Result]]:
    """Run mutmut on a package, in a folder with a copy of the repository."""
    with (folder / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(configuration(package, sorted(each.name for each in folder.iterdir())))
    children = str(_MUTANTS_PER_CPU * (os.cpu_count() or 1))
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", children]
    done = subprocess.run(  # noqa: S603 - our own
        command, cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"mutmut failed:\n{done.stdout[-5_000:]}\n{done.stderr[-5_000:]}")
    return list(results(folder / "mutants" / package.path))


def configuration(package: Package, copied: Iterable[str]) -> str:
    """Return mutmut's settings as TOML; `copied` are the names that tests may read."""
    return f"""
[tool.mutmut]
source_paths = ["service"]
only_mutate = ["{package.path}/*"]
also_copy = {list(copied)}
track_dependencies = false
timeout_multiplier = 6
type_check_command = {[sys.executable, "-m", "mypy", *_MYPY_ARGUMENTS, "--package", _module(package)]}
pytest_add_cli_args = ["-p", "no:cacheprovider", "-p", "no:xdist", "--maxfail=1", "-m", "{_SELECTED}"]
pytest_add_cli_args_test_selection = {list(package.tests)}
"""


def copied(folder: Path) -> Path:
    """Copy all files that git tracks, as they are in the working tree."""
    for name in filter(None, _git("ls-files", "-z").split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    return folder


def row(package: Package, found: Collection[tuple[Mutant, Result]], commit: str, date: str) -> tuple[str, ...]:
    counts = Counter(result for _, result in found)
    killed = counts[Result.KILLED] + counts[Result.TIMED_OUT]
    tested = killed + counts[Result.SURVIVED]
    figures = (len(found), *(counts[result] for result in Result))
    return package.path, commit, date, *(f"{figure:,}" for figure in figures), f"{100 * killed / tested:.1f} %"


def update_table(path: Path, new: tuple[str, ...]) -> None:
    """Write the row of a package, and drop those of packages that are gone."""
    rows = table_of(path) | {new[0]: new}
    kept = [rows[each.path] for each in PACKAGES if each.path in rows]
    write_into(path, aligned([HEADINGS, *kept], words=_WORDS), "mutants")


def table_of(path: Path) -> dict[str, tuple[str, ...]]:
    """Return the rows of the table in a file, by package."""
    text = path.read_text(encoding="utf-8")
    table = text.partition("<!-- mutants begins -->\n")[2].partition("<!-- mutants ends -->")[0]
    rows = [tuple(cell.strip() for cell in line.strip("| ").split(" | ")) for line in table.splitlines()[2:]]
    return {cells[0]: cells for cells in rows}


def report(package: Package, found: Iterable[tuple[Mutant, Result]]) -> str:
    """Return the survivors without a reason, and the mutants with a reason that do not survive; both should be none."""
    survivors = dict.fromkeys(mutant for mutant, result in found if result is Result.SURVIVED)
    prefix = f"{_module(package)}."
    argued = {mutant for mutant in reasons(FILE.read_text(encoding="utf-8")) if mutant.function.startswith(prefix)}
    new = [mutant for mutant in survivors if mutant not in argued]
    gone = sorted(argued - survivors.keys())
    parts = {
        f"These mutants survive. Test what they change, or add a reason to {FILE.name}:": new,
        f"These mutants do not survive. Remove them from {FILE.name}:": gone,
    }
    return "\n\n".join(f"{heading}\n\n{paragraphs(mutants)}" for heading, mutants in parts.items() if mutants)


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S603


def _module(package: Package) -> str:
    return package.path.replace("/", ".")


def main(paths: list[str]) -> int:
    if unknown := set(paths) - {each.path for each in PACKAGES}:
        raise SystemExit(f"unknown package {', '.join(unknown)}: use {', '.join(each.path for each in PACKAGES)}")
    commit = _git("rev-parse", "--short", "HEAD").strip()
    failed = False
    for package in PACKAGES:
        if paths and package.path not in paths:
            continue
        with tempfile.TemporaryDirectory() as folder, environment(package) as environ:
            found = run(package, copied(Path(folder)), environ)
        new = row(package, found, commit, dt.datetime.now(dt.UTC).date().isoformat())
        sys.stdout.write(f"{', '.join(f'{name}: {cell}' for name, cell in zip(HEADINGS, new, strict=True))}\n")
        if table := os.environ.get("ORDERS_MUTANTS_TABLE"):
            update_table(Path(table), new)
        if text := report(package, found):
            failed = True
            sys.stdout.write(f"\n{text}\n\n")
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
