"""The API's statement for one order, without an API: a loop of asyncio and psycopg on each connection.

`python -m bench.baselines.psycopg_loop TARGETS CONNECTIONS REQUESTS`, with the settings' connection string.
TARGETS is what bench.load takes. The last line of the output is a Report in JSON.
"""

import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import msgspec
import psycopg
import uvloop
from msgspec import Struct

from bench.load import Target, WrongAnswer
from service.repo.connection import load_text_as_bytes
from service.repo.reads import DOCUMENTS_OF

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


class Report(Struct, frozen=True):
    requests: int
    seconds: float
    cpu_seconds: float


async def measure(dsn: str, targets: Sequence[Target], *, connections: int, requests: int) -> Report:
    """Read the targets' orders in turn; the time begins when all connections are there. Raises WrongAnswer."""
    todo = iter([*islice(cycle(targets), requests)])
    async with AsyncExitStack() as opened:
        lent = [await opened.enter_async_context(await _connected(dsn)) for _ in range(connections)]
        began, used = perf_counter(), process_time()
        await asyncio.gather(*(_read(connection, todo) for connection in lent))
        return Report(requests, perf_counter() - began, process_time() - used)


async def _connected(dsn: str) -> Connection:
    """Return a connection as the API's pool makes them, but that it prepares the statement at once."""
    connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True, prepare_threshold=0)
    load_text_as_bytes(connection)
    return connection


async def _read(connection: Connection, todo: Iterator[Target]) -> None:
    for target in todo:
        uid = target.path.rpartition("/")[2]
        cursor = await connection.cursor(binary=True).execute(DOCUMENTS_OF, [[uid]])
        rows = await cursor.fetchall()
        if [len(document) for _, document in rows] != [target.length]:
            raise WrongAnswer(f"not one document of {target.length} bytes")


def main() -> None:
    path, connections, requests = sys.argv[1:]
    targets = msgspec.json.decode(Path(path).read_bytes(), type=list[Target])
    dsn = os.environ["ORDERS_POSTGRES__DSN"]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(measure(dsn, targets, connections=int(connections), requests=int(requests)))
    sys.stdout.buffer.write(msgspec.json.encode(report))


if __name__ == "__main__":
    main()
