"""The guarantees that simulations must show to be needed."""

from pathlib import Path
from typing import Final

import pytest

from tests.faults.mutations.__main__ import ROOT
from tests.faults.mutations.mutation import Mutation
from tests.simulation import command_guards, former_faults
from tests.simulation.guards import MUTATIONS, Row, table_of, update_table
from tests.simulation.real_servers import ONLY_ON_REAL_SERVERS

PAGE: Final = ROOT / "docs/simulation.md"


def test_each_exception_is_a_mutation() -> None:
    assert ONLY_ON_REAL_SERVERS.keys() - {each.guarantee for each in MUTATIONS} == set()


def test_the_table_has_a_seed_or_a_reason_for_each_guarantee() -> None:
    rows = table_of(PAGE)
    assert [*rows] == [each.guarantee for each in MUTATIONS]
    for row in rows.values():
        assert row.text == ONLY_ON_REAL_SERVERS[row.guarantee] if not row.seed else row.seed.isdigit()


@pytest.mark.parametrize(
    "mutation", [*former_faults.MUTATIONS, *command_guards.MUTATIONS], ids=lambda each: each.guarantee
)
def test_each_mutation_of_the_simulation_fits(mutation: Mutation) -> None:
    replacement = mutation.replacement
    source = (ROOT / replacement.path).read_text(encoding="utf-8")
    assert replacement.replaced(source) != source


def test_a_row_is_replaced_in_its_place(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- guards begins -->\n<!-- guards ends -->\nafter\n", encoding="utf-8")
    first, second = (each.guarantee for each in MUTATIONS[:2])
    update_table(page, Row(second, "", "a reason"))
    update_table(page, Row(first, "7", "Violation: an order is lost"))
    update_table(page, Row(second, "8", "Violation: another one"))
    assert [*table_of(page).values()] == [
        Row(first, "7", "Violation: an order is lost"), Row(second, "8", "Violation: another one"),
    ]  # fmt: skip
    assert page.read_text(encoding="utf-8").startswith("before\n")
    assert page.read_text(encoding="utf-8").endswith("after\n")
