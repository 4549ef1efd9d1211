"""Orders that exist before a measurement, in a database and in files for the baselines."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import psycopg

from bench.context import Context
from bench.databases import Database, checkpoint, migrated
from bench.load import Target
from bench.topics import dated_now
from generator.stream import stream
from service.entities.order import Order
from service.entities.version import RecordCoordinates, VersionedOrder
from service.repo.connection import ConnectionSettings
from service.repo.conninfo import Conninfo
from service.repo.document import DOCUMENT, FROM_ORDERS
from service.repo.reader.statements import newest_statement
from service.repo.transactions import Transactions
from service.repo.writer.order_store import PostgresOrderStore

PATH: Final = "/orders/"

_SEED: Final = 1
_BATCH_ORDERS: Final = 2_000
_MEAN_DOCUMENT_BYTES: Final = f"SELECT avg(octet_length({DOCUMENT}))::float {FROM_ORDERS}"


class FixtureFiles(NamedTuple):
    folder: Path
    documents: Mapping[str, bytes]
    """Orders as JSON, by uid."""

    @property
    def lines(self) -> Path:
        """The documents, one per line."""
        return self.folder / "documents.jsonl"

    @property
    def targets(self) -> Path:
        """The list of Targets for bench.load."""
        return self.folder / "targets.json"


@contextmanager
def stored_orders(context: Context, count: int) -> Iterator[Database]:
    """Yield a vacuumed and analyzed database of `count` orders; it is dropped at the end."""
    with migrated(context) as database:
        _fill(database.dsn, count)
        checkpoint(context)
        yield database


def documents(dsn: str, count: int) -> dict[str, bytes]:
    """Return the newest orders by uid, encoded as in the API's responses."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(newest_statement(count)).fetchall()
    return {uid: document.encode() for uid, document in rows}


def write_files(folder: Path, documents: Mapping[str, bytes]) -> FixtureFiles:
    """Write the input files of the baselines and the load generator."""
    files = FixtureFiles(folder, documents)
    files.lines.write_bytes(b"".join(b"%s\n" % document for document in documents.values()))
    targets = [Target(f"{PATH}{uid}", len(document)) for uid, document in documents.items()]
    files.targets.write_bytes(msgspec.json.encode(targets))
    return files


def mean_document_bytes(dsn: str) -> float:
    with psycopg.connect(dsn) as connection:
        (mean,) = connection.execute(_MEAN_DOCUMENT_BYTES).fetchone() or (0.0,)
        return float(mean)


def _fill(dsn: str, count: int) -> None:
    orders = _orders(count)
    settings = ConnectionSettings(
        Conninfo(dsn),
        "orders-bench",
        statement_timeout=30,
        lock_timeout=10,
        prepared_statements=None,
    )
    with closing(PostgresOrderStore(Transactions(settings))) as writer:
        while batch := [*islice(orders, _BATCH_ORDERS)]:
            writer.store(batch)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")  # otherwise autovacuum may run during a measurement


def _orders(count: int) -> Iterator[VersionedOrder]:
    decode = msgspec.json.Decoder(Order).decode
    for offset, message in enumerate(stream(dated_now(count=count, seed=_SEED))):
        yield VersionedOrder(decode(message.value or b""), RecordCoordinates(offset, 0, offset, "orders"))
