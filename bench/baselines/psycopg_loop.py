"""Baseline for uncached GETs: an asyncio loop per psycopg connection that executes the API's statement.

`python -m bench.baselines.psycopg_loop TARGETS CONNECTIONS REQUESTS`, with ORDERS_POSTGRES__DSN and TARGETS as in
bench.load. The last line of the output is a LoopResult in JSON.
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

from bench.load import Target, UnexpectedResponse
from service.repo.connection import load_text_as_bytes
from service.repo.reader.statements import DOCUMENTS_OF, document_values

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


class LoopResult(Struct, frozen=True):
    requests: int
    seconds: float
    cpu_seconds: float


async def measure(dsn: str, targets: Sequence[Target], *, connections: int, requests: int) -> LoopResult:
    """Read the targets' orders in turn, timed from when all connections are open. Raises UnexpectedResponse."""
    queue = iter([*islice(cycle(targets), requests)])
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(await _connect(dsn)) for _ in range(connections)]
        started_at, cpu = perf_counter(), process_time()
        await asyncio.gather(*(_read(connection, queue) for connection in opened))
        return LoopResult(requests, perf_counter() - started_at, process_time() - cpu)


async def _connect(dsn: str) -> Connection:
    """Return a connection like those of the API's pool, except that it prepares the statement immediately."""
    connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True, prepare_threshold=0)
    load_text_as_bytes(connection)
    return connection


async def _read(connection: Connection, queue: Iterator[Target]) -> None:
    for target in queue:
        uid = target.path.rpartition("/")[2]
        cursor = await connection.cursor(binary=True).execute(DOCUMENTS_OF, document_values([uid]))
        rows = await cursor.fetchall()
        if [len(document) for _, document in rows] != [target.length]:
            raise UnexpectedResponse(f"not one document of {target.length} bytes")


def main() -> None:
    path, connections, requests = sys.argv[1:]
    targets = msgspec.json.decode(Path(path).read_bytes(), type=list[Target])
    dsn = os.environ["ORDERS_POSTGRES__DSN"]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(measure(dsn, targets, connections=int(connections), requests=int(requests)))
    sys.stdout.buffer.write(msgspec.json.encode(result))


if __name__ == "__main__":
    main()
