"""What is left to distribute, and what prevents it. tests/integration/test_distribute.py runs the command."""

from collections.abc import Callable

import pytest

from service.usecases.distribute import (
    ConnectedConsumers,
    ForeignKeysOfOthers,
    MisplacedTables,
    Obstacle,
    UnsuitableServer,
    WrongSchemaVersion,
    plan,
)
from service.usecases.ports.operations import Placement
from tests.kit.fakes import FakeTableDistributor


def remaining(distributor: FakeTableDistributor) -> list[str]:
    return [table.name for table in plan(distributor).remaining]


def obstacles(distributor: FakeTableDistributor) -> list[Obstacle]:
    return [*plan(distributor).obstacles]


def test_tables_that_are_not_distributed_remain_parents_first() -> None:
    distributor = FakeTableDistributor()
    assert (remaining(distributor), obstacles(distributor)) == (["orders", "items"], [])
    distributor.distribute(distributor.tables()[0])
    assert (remaining(distributor), obstacles(distributor)) == (["items"], [])


def test_nothing_remains_and_nothing_prevents_it_once_all_tables_are_distributed() -> None:
    distributor = FakeTableDistributor()
    for table in distributor.tables():
        distributor.distribute(table)
    distributor.writers, distributor.foreign_keys = 1, ["notes.notes_key"]
    assert plan(distributor) == ([], [])


def test_only_a_suitable_server_can_distribute() -> None:
    distributor = FakeTableDistributor()
    distributor.problem = "this server is a worker"
    assert obstacles(distributor) == [UnsuitableServer("this server is a worker")]
    assert remaining(distributor) == ["orders", "items"]


@pytest.mark.parametrize("found", [1, 3])
def test_the_schema_must_be_of_this_release(found: int) -> None:
    distributor = FakeTableDistributor()
    distributor.version = (found, 2)
    assert obstacles(distributor) == [WrongSchemaVersion(found, 2)]


def test_a_table_that_is_distributed_in_another_way_must_be_undistributed() -> None:
    distributor = FakeTableDistributor()
    distributor.placements["items"] = Placement.MISPLACED
    assert remaining(distributor) == ["orders", "items"]
    assert obstacles(distributor) == [MisplacedTables(["items"])]


def test_foreign_keys_between_these_tables_and_others_must_be_dropped() -> None:
    distributor = FakeTableDistributor()
    distributor.foreign_keys = ["notes.notes_key", "notes.other_key"]
    assert obstacles(distributor) == [ForeignKeysOfOthers(["notes.notes_key", "notes.other_key"])]


def test_consumers_must_be_stopped() -> None:
    distributor = FakeTableDistributor()
    distributor.writers = 2
    assert obstacles(distributor) == [ConnectedConsumers(2)]


def unsuitable(distributor: FakeTableDistributor) -> None:
    distributor.problem = "this server is a worker"


def outdated(distributor: FakeTableDistributor) -> None:
    distributor.version = (1, 2)


@pytest.mark.parametrize("fault", [unsuitable, outdated])
def test_the_tables_are_not_checked_before_the_server_and_the_schema_are_ready(
    fault: Callable[[FakeTableDistributor], None],
) -> None:
    distributor = FakeTableDistributor()
    distributor.writers = 2
    fault(distributor)
    assert [type(each) for each in obstacles(distributor)] in ([UnsuitableServer], [WrongSchemaVersion])
