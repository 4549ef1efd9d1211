"""What no file of the repository may contain, and what its pages may name."""

import ast
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.command_line import COMMANDS

ROOT = Path(__file__).parents[2]
WAITS = ROOT / "tests" / "kit" / "waiting.py"
MACHINE_FOLDER = re.compile(rf"(?<![\w./])/(?:home|root|Users)/\w|{re.escape(str(ROOT))}(?!\w)")
STARTS = ("", "service", "tests", "web", "k8s", "chart")
"""Folders that a page may leave out."""
CREATED_LATER = {
    "migrations/roles.sql",
    "dist/sbom.cdx.json",
}
"""Files that a build, a command or an example creates."""
VAGUE_NAMES = {"common", "helper", "helpers", "misc", "shared", "support", "util", "utils"}
MAX_TEST_FILE_LINES = 400
UPWARDS = re.compile(r"(?<![\w.])(?:\.\./)+[\w-]+")


def test_every_test_that_ci_names_exists() -> None:
    files = [ROOT / ".ci" / "run", ROOT / ".ci" / "nightly", *sorted((ROOT / ".github" / "workflows").glob("*.yml"))]
    named = [name for file in files for name in re.findall(r"(?<![\w/])tests/[\w/.{,}-]+", _text(file))]
    paths = [f"{before}{name}{after}" for path in named for before, name, after in _braces(path)]
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_workflows_pin_actions_by_commit_and_name_the_version() -> None:
    files = [path for path in _tracked() if path.parent.name == "workflows"]
    used = [action for path in files for action in re.findall(r"uses: *(.+)", _text(path))]
    actions = [action for action in used if not action.startswith("./")]  # workflows of this repository
    assert actions
    assert [action for action in actions if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v[\d.]+", action)] == []


def _braces(path: str) -> Iterator[tuple[str, str, str]]:
    """Expand the braces of a path as the shell does."""
    before, _, rest = path.partition("{")
    names, _, after = rest.partition("}")
    return ((before, name, after) for name in names.split(","))


def test_no_lock_file_names_a_host() -> None:
    locks = [path for path in _tracked() if "lock" in path.name and path.suffix not in {".py", ".md"}]
    assert {"requirements.lock", "requirements-dev.lock", "package-lock.json"} <= {path.name for path in locks}
    assert [str(path) for path in locks if "://" in _text(path)] == []


def test_no_file_names_a_folder_of_one_machine() -> None:
    assert [str(path) for path in _tracked() if MACHINE_FOLDER.search(_text(path))] == []


def test_no_file_points_outside_the_repository() -> None:
    assert [f"{path}: {way}" for path in _tracked() for way in UPWARDS.findall(_text(path)) if _leaves(path, way)] == []


def test_no_test_sleeps() -> None:
    tests = set((ROOT / "tests").rglob("*.py")) - {WAITS}
    assert [f"{path}:{line}" for path in tests for line in _sleeps(path.read_text())] == []


def test_no_unit_test_starts_a_process() -> None:
    starts = re.compile(r"\b(subprocess|multiprocessing|os\.fork|tests\.kit\.processes)\b")
    assert [str(path) for path in (ROOT / "tests" / "unit").rglob("*.py") if starts.search(path.read_text())] == []


def test_every_kind_of_sleep_is_detected_except_that_of_0_seconds() -> None:
    assert list(_sleeps("time.sleep(1)\nsleep(x)\nawait asyncio.sleep(.1)\nasleep(1)\nawait asyncio.sleep(0)")) == [
        1,
        2,
        3,
    ]


def test_every_dependency_is_listed_with_its_purpose() -> None:
    project = tomllib.loads(_text(ROOT / "pyproject.toml"))
    groups = [*project["project"]["optional-dependencies"].values(), *project["dependency-groups"].values()]
    named = [name for group in groups for name in group if isinstance(name, str)]  # the others include a group
    requirements = [*project["project"]["dependencies"], *named]
    names = {re.match(r"[\w-]+", requirement).group() for requirement in requirements}  # type: ignore[union-attr]
    assert names - set(_rows(ROOT / "docs" / "dependencies.md")) == set()


def test_the_tests_of_each_guarantee_exist() -> None:
    named = re.findall(r"`(tests/[\w/.]+)`", _text(ROOT / "docs" / "verification.md"))
    assert len(named) >= 80
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_links_between_pages_resolve() -> None:
    links = [(page, link) for page in _pages() for link in re.findall(r"\]\((?!\w+:)([^)\s]+)\)", _text(page))]
    assert len(links) >= 40
    assert [f"{page}: {link}" for page, link in links if not _resolves(page, link)] == []


def test_files_that_pages_name_exist() -> None:
    named = {(page, name) for page in _pages() for name in re.findall(r"`((?:[\w.-]+/)+[\w.-]+\.\w+)`", _text(page))}
    assert len(named) >= 150
    missing = {name for _, name in named if not any((ROOT / start / name).exists() for start in STARTS)}
    assert missing - CREATED_LATER == set()


def test_pages_wrap_at_100_columns() -> None:
    long = [f"{page}:{line}" for page in _pages() for line in _long_lines(_text(page))]
    assert long == []


def test_only_tables_links_and_code_may_be_wider() -> None:
    wide = "word " * 30
    page = f"{wide}\n| {wide} |\n```sh\n{wide}\n```\n- [a link]({'x' * 100})\n{wide}"
    assert list(_long_lines(page)) == [1, 7]


def test_commands_that_pages_name_exist() -> None:
    named = {name for page in _pages() for name in re.findall(r"(?:`|-- )orders ([a-z][a-z-]*)", _text(page))}
    assert len(named) >= 10
    assert named - COMMANDS.keys() == set()


def test_make_targets_that_pages_name_exist() -> None:
    (targets,) = re.findall(r"^\.PHONY: (.+)$", _text(ROOT / "Makefile"), re.MULTILINE)
    code = "\n".join(span for page in _pages() for span in re.findall(r"```.*?```|`[^`]+`", _text(page), re.DOTALL))
    named = {*re.findall(r"^`?make ([a-z][a-z0-9-]*)", code, re.MULTILINE)}
    assert len(named) >= 20
    assert named - {*targets.split()} == set()


def test_names_in_the_worked_examples_exist() -> None:
    named = set(re.findall(r"`(_?[a-zA-Z]+(?:_[a-zA-Z]+)+|_[a-zA-Z]+)(?:\(\))?`", _guides()))
    code = "\n".join(_text(path) for path in _tracked() if path.suffix in {".py", ".ts"} or path.name == "run")
    assert len(named) >= 10
    assert [name for name in sorted(named) if not re.search(rf"\b{name}\b", code)] == []


def test_a_name_says_what_a_module_or_a_package_holds() -> None:
    parts = {
        part for path in _tracked() if path.suffix == ".py" for part in path.relative_to(ROOT).with_suffix("").parts
    }
    assert len(parts) > 500
    assert parts & VAGUE_NAMES == set()


def test_no_test_file_has_more_than_400_lines() -> None:
    files = {path.relative_to(ROOT): len(_text(path).splitlines()) for path in _tracked() if _is_test(path)}
    assert len(files) > 300
    assert {name: lines for name, lines in files.items() if lines > MAX_TEST_FILE_LINES} == {}


def _is_test(path: Path) -> bool:
    return path.is_relative_to(ROOT / "tests") and path.suffix == ".py"


def test_the_diffs_of_the_worked_example_apply() -> None:
    diffs = re.findall(r"^```diff\n(.*?)^```", _guides(), re.MULTILINE | re.DOTALL)
    assert len(diffs) >= 4
    assert [diff for diff in diffs if not (_applies(diff) or _applies(diff, "--reverse"))] == []


def _applies(diff: str, *options: str) -> bool:
    if not shutil.which("git"):
        pytest.skip("NOT RUN: WORKED EXAMPLE: GIT IS NOT INSTALLED")
    command = ["git", "apply", "--check", *options]
    done = subprocess.run(command, cwd=ROOT, input=diff, text=True, capture_output=True, check=False)  # noqa: S603
    return done.returncode == 0


def _guides() -> str:
    """Return the guides to changes of the code: CONTRIBUTING.md and its worked examples."""
    return "\n".join(_text(path) for path in (ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("change-*.md"))))


def _pages() -> list[Path]:
    return [path for path in _tracked() if path.suffix == ".md"]


def _long_lines(text: str) -> Iterator[int]:
    """Yield the numbers of the lines over 100 columns, apart from tables, code, comments and lines of one word."""
    is_code = False
    for number, line in enumerate(text.splitlines(), start=1):
        is_fence = line.lstrip().startswith("```")
        is_code ^= is_fence
        is_exempt = is_code or is_fence or line.startswith(("|", "<")) or re.search(r"!?\[[^]]*\]\(", line)
        if len(line) > 100 and not is_exempt:
            yield number


def _resolves(page: Path, link: str) -> bool:
    """Return whether the file exists and has the heading of the fragment, spelled as on GitHub."""
    name, _, fragment = link.partition("#")
    target = page.parent / name if name else page
    return target.exists() and (not fragment or fragment in _headings(target))


def _headings(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _text(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def _rows(document: Path) -> Iterator[str]:
    """Yield the names in the first column of a page's tables."""
    for first in re.findall(r"^\| ([^|]+) \|", _text(document), re.MULTILINE):
        yield from re.sub(r" \(.*\)", "", first).split(", ")


def _tracked() -> list[Path]:
    """Return the files that git tracks; skip the test without git."""
    if not ((ROOT / ".git").exists() and shutil.which("git")):
        pytest.skip("NOT RUN: CONTENT OF FILES: NO GIT REPOSITORY TO LIST THEM")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S607
    return [path for name in listing.split("\0") if name and (path := ROOT / name).is_file()]


def _text(path: Path) -> str:
    return path.read_text(errors="replace")


def _leaves(path: Path, way: str) -> bool:
    return not (path.parent / way).resolve().is_relative_to(ROOT)


def _sleeps(source: str) -> Iterator[int]:
    """Yield the lines that sleep. `sleep(0)` only yields to other tasks."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and re.search(r"\bsleep$", ast.unparse(node.func)) and not _only_yields(node):
            yield node.lineno


def _only_yields(call: ast.Call) -> bool:
    return [ast.unparse(argument) for argument in call.args] == ["0"]
