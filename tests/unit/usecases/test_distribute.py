"""What is left to distribute, and what prevents it. tests/integration/test_distribute.py runs the command."""

from collections.abc import Callable

import pytest

from service.usecases.distribute import plan
from service.usecases.ports.operations import CitusState, Placement
from tests.kit.fakes import FakeTableDistributor


def remaining(distributor: FakeTableDistributor) -> list[str]:
    return [table.name for table in plan(distributor).remaining]


def obstacles(distributor: FakeTableDistributor) -> str:
    return "; ".join(plan(distributor).obstacles)


def test_tables_that_are_not_distributed_remain_parents_first() -> None:
    distributor = FakeTableDistributor()
    assert (remaining(distributor), obstacles(distributor)) == (["orders", "items"], "")
    distributor.distribute(distributor.tables()[0])
    assert (remaining(distributor), obstacles(distributor)) == (["items"], "")


def test_nothing_remains_and_nothing_prevents_it_once_all_tables_are_distributed() -> None:
    distributor = FakeTableDistributor()
    for table in distributor.tables():
        distributor.distribute(table)
    distributor.writers, distributor.foreign_keys = 1, ["notes.notes_key"]
    assert plan(distributor) == ([], [])


@pytest.mark.parametrize(
    ("state", "obstacle"),
    [
        (CitusState.NOT_INSTALLED, "Citus is not installed: install it on every node"),
        (CitusState.NOT_CREATED, "this database lacks the extension citus: run CREATE EXTENSION citus"),
        (CitusState.NOT_PRELOADED, "citus is not in shared_preload_libraries: add it, and restart PostgreSQL"),
        (CitusState.WORKER, "this server is a worker of Citus: connect to the coordinator"),
    ],
)
def test_only_the_coordinator_of_citus_can_distribute(state: CitusState, obstacle: str) -> None:
    distributor = FakeTableDistributor()
    distributor.state = state
    assert obstacles(distributor).startswith(obstacle)
    assert remaining(distributor) == ["orders", "items"]


@pytest.mark.parametrize(
    ("version", "obstacle"),
    [
        ((1, 2), "the schema is at 0001, this release needs 0002: run `orders migrate`"),
        ((3, 2), "the schema is at 0003, of a newer release than this one: run its `orders distribute`"),
    ],
)
def test_the_schema_must_be_of_this_release(version: tuple[int, int], obstacle: str) -> None:
    distributor = FakeTableDistributor()
    distributor.version = version
    assert obstacles(distributor) == obstacle


def test_a_table_that_is_distributed_in_another_way_must_be_undistributed() -> None:
    distributor = FakeTableDistributor()
    distributor.placements["items"] = Placement.MISPLACED
    assert remaining(distributor) == ["orders", "items"]
    assert obstacles(distributor) == (
        "items: distributed in another way: run SELECT undistribute_table(…), with cascade_via_foreign_keys => true"
    )


def test_foreign_keys_between_these_tables_and_others_must_be_dropped() -> None:
    distributor = FakeTableDistributor()
    distributor.foreign_keys = ["notes.notes_key", "notes.other_key"]
    assert obstacles(distributor) == (
        "foreign keys to or from other tables: notes.notes_key, notes.other_key: "
        "drop them, or distribute these tables first"
    )


def test_consumers_must_be_stopped() -> None:
    distributor = FakeTableDistributor()
    distributor.writers = 2
    assert obstacles(distributor) == "2 consumers are connected: stop them first"


def not_preloaded(distributor: FakeTableDistributor) -> None:
    distributor.state = CitusState.NOT_PRELOADED


def outdated(distributor: FakeTableDistributor) -> None:
    distributor.version = (1, 2)


@pytest.mark.parametrize("fault", [not_preloaded, outdated])
def test_the_tables_are_not_checked_before_the_cluster_and_the_schema_are_ready(
    fault: Callable[[FakeTableDistributor], None],
) -> None:
    distributor = FakeTableDistributor()
    distributor.writers = 2
    fault(distributor)
    assert len(plan(distributor).obstacles) == 1
    assert "consumers" not in obstacles(distributor)
