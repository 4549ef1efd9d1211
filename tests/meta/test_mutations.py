"""The list of mutations is whole: each can be applied, and no scenario is without one."""

import re

import pytest

from tests.faults.mutations import MUTATIONS, ROOT, Mutation

SCENARIOS = {
    f"{path.name}::{name}"
    for path in ROOT.glob("tests/faults/test_*.py")
    for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.promise)
def test_a_mutation_fits_the_code(mutation: Mutation) -> None:
    assert (ROOT / mutation.path).read_text().count(mutation.old) == 1
    assert mutation.old != mutation.new


def test_each_scenario_notices_a_mutation() -> None:
    named = {scenario.partition("[")[0] for mutation in MUTATIONS for scenario in mutation.scenarios}
    assert named == SCENARIOS
