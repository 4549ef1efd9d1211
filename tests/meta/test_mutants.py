"""`make mutants` names mutants by what they change, and fails if one survives without a reason."""

import json
import os
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import pytest

from tests.kit import servers
from tests.mutants import __main__ as command
from tests.mutants.mutant import Mutant, Result, results
from tests.mutants.packages import PACKAGES, Package
from tests.mutants.survivors import FILE, paragraphs, reasons

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "mutants.md"
PKG: Final = Package("service/pkg", ())
GET: Final = Mutant("service.pkg.lru.LRU.get", "- return a\n+ return b")
MUTATED: Final = """
def x_rate__mutmut_orig(n):
    return n + 1
def x_rate__mutmut_1(n):
    return n - 1
class LRU:
    def xǁLRUǁget__mutmut_orig(self, key):
        if key:
            return None
    def xǁLRUǁget__mutmut_1(self, key):
        if not key:
            return None
    def xǁLRUǁget__mutmut_2(self, key):
        if key:
            return 0
"""


def ran(folder: Path, codes: dict[str, int | None]) -> Path:
    (folder / "lru.py").write_text(MUTATED, encoding="utf-8")
    (folder / "lru.py.meta").write_text(json.dumps({"exit_code_by_key": codes}), encoding="utf-8")
    return folder


def test_a_mutant_is_named_by_its_function_and_the_lines_that_it_changes(tmp_path: Path) -> None:
    codes: dict[str, int | None] = {
        "service.pkg.lru.x_rate__mutmut_1": 0,
        "service.pkg.lru.xǁLRUǁget__mutmut_1": 1,
        "service.pkg.lru.xǁLRUǁget__mutmut_2": 33,
    }
    assert list(results(ran(tmp_path, codes))) == [
        (Mutant("service.pkg.lru.rate", "- return n + 1\n+ return n - 1"), Result.SURVIVED),
        (Mutant("service.pkg.lru.LRU.get", "- if key:\n+ if not key:"), Result.KILLED),
        (Mutant("service.pkg.lru.LRU.get", "- return None\n+ return 0"), Result.UNTESTED),
    ]


@pytest.mark.parametrize("code", [None, 2, 4])
def test_a_mutant_without_a_result_is_an_error(code: int | None, tmp_path: Path) -> None:
    with pytest.raises(LookupError, match=r"did not decide about service\.pkg\.lru\.x_rate__mutmut_1"):
        list(results(ran(tmp_path, {"service.pkg.lru.x_rate__mutmut_1": code})))


def test_a_paragraph_has_a_function_its_changes_and_a_reason() -> None:
    text = f"# A comment.\n\n{paragraphs([GET])}\nBoth are\nthe same.\n\n"
    assert reasons(text) == {GET: "Both are the same."}


@pytest.mark.parametrize("reason", ["", "\nThe same.\n- return c\n+ return d"])
def test_a_paragraph_without_a_reason_at_its_end_is_an_error(reason: str) -> None:
    with pytest.raises(ValueError, match=r"service\.pkg\.lru\.LRU\.get"):
        reasons(paragraphs([GET]) + reason)


def test_a_survivor_needs_a_reason_and_a_reason_a_survivor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "survivors.txt"
    monkeypatch.setattr(command, "FILE", file)
    file.write_text("", encoding="utf-8")
    assert paragraphs([GET]) in command.report(PKG, [(GET, Result.SURVIVED)])
    file.write_text(f"{paragraphs([GET])}\nThe same.\n", encoding="utf-8")
    assert command.report(PKG, [(GET, Result.SURVIVED)]) == ""
    assert "do not survive" in command.report(PKG, [(GET, Result.KILLED)])
    assert command.report(Package("service/repo", ()), []) == ""


def test_mutants_without_tests_and_invalid_ones_are_counted_apart(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- mutants begins -->\n<!-- mutants ends -->\nafter\n", encoding="utf-8")
    found = [(GET, result) for result in Result]
    row = command.row(PKG, found, "1234567", "2026-11-30")
    assert row == ("service/pkg", "1234567", "2026-11-30", "5", "1", "1", "1", "1", "1", "66.7 %")
    command.update_table(page, ("service/pkg", "old", *row[2:]))
    command.update_table(page, row)
    assert command.table_of(page) == {"service/pkg": row}


def test_only_integration_tests_get_a_postgresql(monkeypatch: pytest.MonkeyPatch) -> None:
    server = nullcontext(SimpleNamespace(dsn="postgresql://started"))
    monkeypatch.setattr(command, "postgres", lambda *_, **__: server)
    with command.environment(Package("service/repo", ("tests/unit/repo",))) as environ:
        assert dict(environ) == dict(os.environ)
    with command.environment(Package("service/repo", ("tests/integration/test_ids.py",))) as environ:
        assert servers.choose(environ).source is servers.Source.GIVEN
        assert environ[servers.POSTGRES_ADDRESS] == "postgresql://started"


def test_every_reason_belongs_to_a_package_that_is_mutated() -> None:
    argued = reasons(FILE.read_text(encoding="utf-8"))
    modules = tuple(each.path.replace("/", ".") + "." for each in PACKAGES)
    assert [mutant for mutant in argued if not mutant.function.startswith(modules)] == []


def test_the_table_has_rows_of_packages_whose_tests_exist() -> None:
    rows = command.table_of(PAGE)
    assert [*rows] == [each.path for each in PACKAGES if each.path in rows]
    assert [test for each in PACKAGES for test in each.tests if not (ROOT / test.partition("::")[0]).exists()] == []
