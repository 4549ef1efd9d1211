"""Distributes the tables over the nodes of Citus (https://docs.citusdata.com), and finds out whether that is possible.

Tables with a shard are distributed by it in one group, so that the rows of an order are on one node. The others are
small, and replicated to every node as reference tables.
"""

from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Any, Final

from sqlalchemy import Table

from service.errors import StorageUnavailable
from service.repo.connection import ConnectionSettings
from service.repo.schema.migrate import head_number, schema_number
from service.repo.schema.tables import metadata, orders
from service.repo.transactions import NO_TRANSACTION_TIMEOUT, Transactions
from service.repo.translate import translated
from service.usecases.ports.operations import Placement, TableDistribution

CITUS: Final = """\
SELECT current_setting('citus.shard_count', true) IS NOT NULL, to_regclass('pg_dist_partition') IS NOT NULL"""
"""Whether the server has loaded the library, and whether the database has the extension."""
IS_COORDINATOR: Final = "SELECT groupid = 0 FROM pg_dist_local_group"
"""Whether this node is the coordinator of Citus."""
_OURS: Final = "(SELECT to_regclass(name) FROM unnest(%(tables)s::text[]) name)"
SIZES: Final = f"SELECT relname, pg_relation_size(oid) FROM pg_class WHERE oid IN {_OURS}"
"""The bytes of each table, without indexes: what its distribution copies."""
DISTRIBUTIONS: Final = f"""\
SELECT relname, CASE repmodel WHEN 't' THEN NULL ELSE coalesce(column_to_column_name(logicalrelid, partkey), '') END,
  colocationid
FROM pg_dist_partition JOIN pg_class ON pg_class.oid = logicalrelid
WHERE logicalrelid IN {_OURS} AND colocationid <> 0"""
"""The column and group by which each table is distributed, without local tables that Citus tracks. The
column is NULL for a reference table. A colocationid is a group."""
FOREIGN_KEYS_OF_OTHERS: Final = f"""\
SELECT format('%%s.%%I', conrelid::regclass, conname) FROM pg_constraint
WHERE contype = 'f' AND (conrelid IN {_OURS}) <> (confrelid IN {_OURS}) ORDER BY 1"""
"""The foreign keys between our tables and others, which Citus would reject or drop."""
CONNECTED: Final = """\
SELECT nodeid, success, result FROM run_command_on_all_nodes(format(
  'SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = %%L',
  %(application)s::text
))"""
"""The number of the writers' sessions on each node of Citus: a server lists only its own."""


class _Citus(Enum):
    """Whether the database can distribute tables: it must be the COORDINATOR."""

    NOT_INSTALLED = auto()
    NOT_CREATED = auto()
    """The server has loaded the library, but the database lacks the extension."""
    NOT_PRELOADED = auto()
    """The database has the extension, but the server has not loaded the library."""
    WORKER = auto()
    COORDINATOR = auto()


PROBLEMS: Final = {
    _Citus.NOT_INSTALLED: "Citus is not installed: install it on every node, add citus to shared_preload_libraries, "
    "restart PostgreSQL, and run CREATE EXTENSION citus in this database",
    _Citus.NOT_CREATED: "this database lacks the extension citus: run CREATE EXTENSION citus",
    _Citus.NOT_PRELOADED: "citus is not in shared_preload_libraries: add it, and restart PostgreSQL",
    _Citus.WORKER: "this server is a worker of Citus: connect to the coordinator",
}


class PostgresTableDistributor:
    """Implements usecases.ports.operations.TableDistributor. Not thread-safe.

    `writers` is the application name of consumers.
    """

    def __init__(self, settings: ConnectionSettings, writers: str, shard_count: int) -> None:
        self._conninfo = settings.conninfo
        self._transactions = Transactions(settings)
        self._parameters = {"tables": [*metadata.tables], "application": writers}
        self._shard_count = shard_count

    def server_problem(self) -> str | None:
        return PROBLEMS.get(self._citus())

    def schema_version(self) -> tuple[int, int]:
        return schema_number(self._conninfo), head_number()

    def tables(self) -> Sequence[TableDistribution]:
        sizes = dict(self._query(SIZES))
        has_catalog = self._citus() in {_Citus.COORDINATOR, _Citus.WORKER}
        found = {name: (column, group) for name, column, group in self._query(DISTRIBUTIONS)} if has_catalog else {}
        return [
            TableDistribution(table.name, _placement(table, found), sizes.get(table.name, 0))
            for table in metadata.sorted_tables
        ]

    def foreign_keys_of_others(self) -> Sequence[str]:
        return [key for (key,) in self._query(FOREIGN_KEYS_OF_OTHERS)]

    def connected_writers(self) -> int:
        nodes = self._query(CONNECTED)
        if failed := ", ".join(str(node) for node, success, _ in nodes if not success):
            raise StorageUnavailable(
                f"could not count the consumers on the Citus nodes {failed}: make them reachable from this node"
            )
        return sum(int(count) for _, _, count in nodes)

    def distribute(self, table: TableDistribution) -> None:
        self._query(self.statement(table))

    def statement(self, table: TableDistribution) -> str:
        """Return what `distribute` executes."""
        if "shard" not in metadata.tables[table.name].c:
            return f"SELECT create_reference_table('{table.name}')"
        is_first = table.name == orders.name
        how = f"shard_count => {self._shard_count}" if is_first else f"colocate_with => '{orders.name}'"
        return f"SELECT create_distributed_table('{table.name}', 'shard', {how})"

    def close(self) -> None:
        self._transactions.close()

    def _citus(self) -> _Citus:
        ((is_loaded, has_extension),) = self._query(CITUS)
        match is_loaded, has_extension:
            case True, True:
                return _Citus.COORDINATOR if self._query(IS_COORDINATOR) == [(True,)] else _Citus.WORKER
            case True, False:
                return _Citus.NOT_CREATED
            case False, True:
                return _Citus.NOT_PRELOADED
        return _Citus.NOT_INSTALLED

    def _query(self, statement: str) -> list[tuple[Any, ...]]:
        with translated(), self._transactions.begin(NO_TRANSACTION_TIMEOUT) as connection:
            return connection.execute(statement, self._parameters).fetchall()


def _placement(table: Table, found: Mapping[str, tuple[str | None, int]]) -> Placement:
    if table.name not in found:
        return Placement.LOCAL
    column, group = found[table.name]
    wanted = ("shard", found.get(orders.name, ("", 0))[1]) if "shard" in table.c else (None, group)
    return Placement.DISTRIBUTED if (column, group) == wanted else Placement.MISPLACED
