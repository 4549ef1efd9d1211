"""Stored orders as blocks for COPY: inserting the same rows again takes the least possible work.

The format is binary. The text format takes the same CPU time of the server (40 us per order).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import psycopg
from psycopg.sql import SQL, Composed, Identifier

from bench.databases import ID_COLUMNS, TABLES, Database

ORDERS_PER_TRANSACTION: Final = 2_000
_MANIFEST: Final = "blocks.json"

_NUMBER_ORDERS: Final = SQL("""\
CREATE TEMPORARY TABLE numbered AS
SELECT id, (row_number() OVER (ORDER BY source_offset, source_partition) - 1) / {size} AS batch
FROM orders""")
"""Assigns the orders to transactions, in the order of the topic."""
_INDEX_BATCHES: Final = SQL("CREATE INDEX ON numbered (batch)")
_COPY_OUT: Final = SQL("""\
COPY (
    SELECT {values} FROM {table} t JOIN numbered n ON n.id = t.{id}
    WHERE batch = {number} ORDER BY n.id
) TO STDOUT (FORMAT binary)""")
_COPY_IN: Final = SQL("COPY {table} ({columns}) FROM STDIN (FORMAT binary)")


class Block(NamedTuple):
    """The rows of one table in one transaction."""

    statement: str
    data: bytes


class _Rows(NamedTuple):
    """The rows of a table, with `after_id` added to each id."""

    table: str
    columns: Sequence[str]
    after_id: int

    @property
    def values(self) -> Composed:
        new = {ID_COLUMNS[self.table]: SQL("n.id + {}").format(self.after_id)}
        return SQL(", ").join(new.get(column, Identifier("t", column)) for column in self.columns)


class _Entry(msgspec.Struct):
    statement: str
    file: str


class Manifest(msgspec.Struct):
    orders: list[int]
    """The number of orders in each transaction."""
    transactions: list[list[_Entry]]


def prepare(database: Database, folder: Path, after_id: int = 0) -> None:
    """Write the orders of `database` to `folder`: 2,000 per transaction, sorted by uid as the consumer writes them.

    `after_id` is added to each id.
    """
    folder.mkdir()
    columns = {table: database.columns(table) for table in TABLES}
    with psycopg.connect(database.dsn) as connection:
        connection.execute(_NUMBER_ORDERS.format(size=ORDERS_PER_TRANSACTION))
        connection.execute(_INDEX_BATCHES)
        counts = connection.execute("SELECT count(*) FROM numbered GROUP BY batch ORDER BY batch")
        orders = [count for (count,) in counts]
        transactions = [
            [_write(connection, folder, _Rows(table, columns[table], after_id), number) for table in TABLES]
            for number in range(len(orders))
        ]
    (folder / _MANIFEST).write_bytes(msgspec.json.encode(Manifest(orders, transactions)))


def read(folder: Path, limit: int | None = None) -> tuple[list[int], list[list[Block]]]:
    """Return the number of orders and the blocks of each transaction, of at most `limit` transactions."""
    manifest = msgspec.json.decode((folder / _MANIFEST).read_bytes(), type=Manifest)
    transactions = [
        [Block(entry.statement, (folder / entry.file).read_bytes()) for entry in entries]
        for entries in manifest.transactions[:limit]
    ]
    return manifest.orders[:limit], transactions


def load(connection: psycopg.Connection, transactions: Sequence[Sequence[Block]]) -> Iterator[None]:
    """Copy one transaction after another; yield after each commit."""
    for blocks in transactions:
        with connection.transaction():
            for block in blocks:
                _copy_in(connection, block)
        yield


def _copy_in(connection: psycopg.Connection, block: Block) -> None:
    with connection.cursor().copy(block.statement.encode()) as copy:
        copy.write(block.data)


def _write(connection: psycopg.Connection, folder: Path, rows: _Rows, number: int) -> _Entry:
    file = f"{number}-{rows.table}"
    key, table = Identifier(ID_COLUMNS[rows.table]), Identifier(rows.table)
    select = _COPY_OUT.format(values=rows.values, table=table, id=key, number=number)
    (folder / file).write_bytes(_copy_out(connection, select))
    statement = _COPY_IN.format(table=table, columns=SQL(", ").join(map(Identifier, rows.columns)))
    return _Entry(statement.as_string(connection), file)


def _copy_out(connection: psycopg.Connection, statement: Composed) -> bytes:
    with connection.cursor().copy(statement) as copy:
        return b"".join(copy)
