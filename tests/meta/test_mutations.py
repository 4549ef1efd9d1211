"""Each mutation can be applied, and each scenario kills one."""

import ast
import builtins
import re

import pytest

from tests.faults.mutations.__main__ import MUTATIONS, ROOT, SHORT_SETTLE
from tests.faults.mutations.mutation import Mutation
from tests.faults.replace import Replacement

SCENARIOS = {
    f"{path.name}::{name}"
    for path in ROOT.glob("tests/faults/test_*.py")
    for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
}
NAMES = {name for path in ROOT.glob("service/**/*.py") for name in re.findall(r"\w+", path.read_text())}
SOURCE = """
LIMIT = 5
class Store:
    def put(self, key, value):
        options = {"timeout": 5, "retries": 5}
        if self.is_full(key):
            self.evict(key, 1)
        self.rows[key] = value
        self.log("stored", key=key)
        return LIMIT == 5
"""


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.guarantee)
def test_a_mutation_fits_the_code_once(mutation: Mutation) -> None:
    source = (ROOT / mutation.replacement.path).read_text()
    mutated = mutation.replacement.replaced(source)
    compile(mutated, mutation.replacement.path, "exec")
    assert mutated != ast.unparse(ast.parse(source))


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.guarantee)
def test_new_code_uses_names_that_exist(mutation: Mutation) -> None:
    """A mutation that raised NameError or AttributeError would be killed without breaking its guarantee."""
    source = (ROOT / mutation.replacement.path).read_text()
    new = ast.parse(mutation.replacement.new)
    stored = {node.id for node in ast.walk(new) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    loaded = {node.id for node in ast.walk(new) if isinstance(node, ast.Name)} - stored
    assert loaded <= {*re.findall(r"\w+", source), *vars(builtins)}
    own = {name for chain in re.findall(r"self((?:\.\w+)+)", mutation.replacement.new) for name in chain[1:].split(".")}
    assert own <= NAMES


def test_waiting_for_a_scenario_to_settle_can_be_shortened() -> None:
    source = (ROOT / SHORT_SETTLE.path).read_text()
    assert SHORT_SETTLE.replaced(source) != ast.unparse(ast.parse(source))


def test_each_scenario_kills_a_mutation() -> None:
    named = {scenario.partition("[")[0] for mutation in MUTATIONS for scenario in mutation.scenarios}
    assert named == SCENARIOS


@pytest.mark.parametrize(
    ("function", "old", "new", "line"),
    [
        ("Store.put", "self.is_full(key)", "False", "if False:"),
        ("Store.put", "self.evict(...)", "", "pass"),
        ("Store.put", "self.evict(key, ...)", "self.evict(key, 2)", "self.evict(key, 2)"),
        ("Store.put", 'self.log("stored", ...)', "raise KeyError\n...", "raise KeyError"),
        ("Store.put", "self.rows[key] = ...", "self.rows[key] = None", "self.rows[key] = None"),
        ("Store.put", '{"timeout": ...}', '{"timeout": 9}', "options = {'timeout': 9, 'retries': 5}"),
        ("Store.put", "LIMIT == 5", "... or key", "return LIMIT == 5 or key"),
        ("Store.put", "if self.is_full(key):\n    ...", "return None", "return None"),
        ("", "LIMIT = ...", "LIMIT = 6", "LIMIT = 6"),
    ],
)
def test_code_is_replaced_by_its_syntax(function: str, old: str, new: str, line: str) -> None:
    before, after = ast.unparse(ast.parse(SOURCE)), Replacement("store.py", function, old, new).replaced(SOURCE)
    changed = {each.strip() for each in after.splitlines()} - {each.strip() for each in before.splitlines()}
    assert changed == {line}


@pytest.mark.parametrize(
    ("function", "old"),
    [("Store.put", "5"), ("Store.put", "self.missing()"), ("Store.get", "LIMIT"), ("", "self.is_full(key)")],
)
def test_code_that_does_not_fit_exactly_once_is_an_error(function: str, old: str) -> None:
    with pytest.raises(LookupError):
        Replacement("store.py", function, old, "None").replaced(SOURCE)
