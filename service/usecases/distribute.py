"""Plans the distribution of the tables over several servers, one by one. A repeated run continues where it ended."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from service.usecases.ports.operations import Placement, TableDistribution, TableDistributor


class UnsuitableServer(NamedTuple):
    problem: str


class WrongSchemaVersion(NamedTuple):
    """The number of the schema's revision, and the one that this release needs."""

    found: int
    wanted: int


class MisplacedTables(NamedTuple):
    names: Sequence[str]


class ForeignKeysOfOthers(NamedTuple):
    names: Sequence[str]


class ConnectedConsumers(NamedTuple):
    number: int


Obstacle = UnsuitableServer | WrongSchemaVersion | MisplacedTables | ForeignKeysOfOthers | ConnectedConsumers


class DistributionPlan(NamedTuple):
    """The tables that are still to be distributed, parents first, and what prevents that."""

    remaining: Sequence[TableDistribution]
    obstacles: Sequence[Obstacle]


def plan(distributor: TableDistributor) -> DistributionPlan:
    """Return the remaining work. Raises StorageError."""
    tables = distributor.tables()
    remaining = [table for table in tables if table.placement is not Placement.DISTRIBUTED]
    obstacles = [*_obstacles_of_database(distributor)]
    if remaining and not obstacles:
        obstacles = [*_obstacles_of_tables(distributor, remaining)]
    return DistributionPlan(remaining, obstacles)


def _obstacles_of_database(distributor: TableDistributor) -> Iterator[Obstacle]:
    if problem := distributor.server_problem():
        yield UnsuitableServer(problem)
    found, wanted = distributor.schema_version()
    if found != wanted:
        yield WrongSchemaVersion(found, wanted)


def _obstacles_of_tables(distributor: TableDistributor, remaining: Sequence[TableDistribution]) -> Iterator[Obstacle]:
    if misplaced := [table.name for table in remaining if table.placement is Placement.MISPLACED]:
        yield MisplacedTables(misplaced)
    if keys := distributor.foreign_keys_of_others():
        yield ForeignKeysOfOthers(keys)
    if count := distributor.connected_writers():
        yield ConnectedConsumers(count)
