"""The list of guards is whole: each can be disabled, and no scenario is without one."""

import re

import pytest

from tests.faults.guards import GUARDS, ROOT, Guard

SCENARIOS = {
    f"{path.name}::{name}"
    for path in ROOT.glob("tests/faults/test_*.py")
    for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
}


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.promise)
def test_what_disables_a_guard_fits_the_code(guard: Guard) -> None:
    assert (ROOT / guard.path).read_text().count(guard.old) == 1
    assert guard.old != guard.new


def test_each_scenario_has_a_guard_that_it_notices() -> None:
    named = {scenario.partition("[")[0] for guard in GUARDS for scenario in guard.scenarios}
    assert named == SCENARIOS
