"""Distributes the tables over the nodes of Citus, one by one. A repeated run continues where the last one ended."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from service.usecases.ports.operations import CitusState, Placement, TableDistribution, TableDistributor

_CITUS_PROBLEMS: Final = {
    CitusState.NOT_INSTALLED: "Citus is not installed: install it on every node, add citus to "
    "shared_preload_libraries, restart PostgreSQL, and run CREATE EXTENSION citus in this database",
    CitusState.NOT_CREATED: "this database lacks the extension citus: run CREATE EXTENSION citus",
    CitusState.NOT_PRELOADED: "citus is not in shared_preload_libraries: add it, and restart PostgreSQL",
    CitusState.WORKER: "this server is a worker of Citus: connect to the coordinator",
}


class DistributionPlan(NamedTuple):
    """The tables that are still to be distributed, parents first, and what prevents that."""

    remaining: Sequence[TableDistribution]
    obstacles: Sequence[str]


def plan(distributor: TableDistributor) -> DistributionPlan:
    """Return the remaining work. Raises StorageError."""
    tables = distributor.tables()
    remaining = [table for table in tables if table.placement is not Placement.DISTRIBUTED]
    problems = [*_cluster_problems(distributor)]
    if remaining and not problems:
        problems += _table_problems(distributor, remaining)
    return DistributionPlan(remaining, problems)


def _cluster_problems(distributor: TableDistributor) -> Iterator[str]:
    if problem := _CITUS_PROBLEMS.get(distributor.citus()):
        yield problem
    number, wanted = distributor.schema_version()
    if number < wanted:
        yield f"the schema is at {number:04}, this release needs {wanted:04}: run `orders migrate`"
    elif number > wanted:
        yield f"the schema is at {number:04}, of a newer release than this one: run its `orders distribute`"


def _table_problems(distributor: TableDistributor, remaining: Sequence[TableDistribution]) -> Iterator[str]:
    if wrong := [table.name for table in remaining if table.placement is Placement.MISPLACED]:
        yield (
            f"{', '.join(wrong)}: distributed in another way: run SELECT undistribute_table(…), "
            "with cascade_via_foreign_keys => true"
        )
    if keys := distributor.foreign_keys_of_others():
        yield f"foreign keys to or from other tables: {', '.join(keys)}: drop them, or distribute these tables first"
    if count := distributor.connected_writers():
        yield f"{count} consumers are connected: stop them first"
