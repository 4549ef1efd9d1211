"""Baseline for the warm-up: executes its statement and drops the result.

`python -m bench.baselines.copy_out ORDERS`, with ORDERS_POSTGRES__DSN. Its last line of output is a CopyResult in JSON.
"""

import os
import sys
from time import perf_counter

import msgspec
import psycopg
from msgspec import Struct

from service.repo.reader.statements import newest_statement


class CopyResult(Struct, frozen=True):
    orders: int
    seconds: float


def measure(dsn: str, count: int) -> CopyResult:
    """Read all rows, timed from when the connection is open."""
    with psycopg.connect(dsn, autocommit=True) as connection, connection.cursor() as cursor:
        started_at = perf_counter()
        with cursor.copy(f"COPY ({newest_statement(count)}) TO STDOUT (FORMAT binary)") as copy:
            for _ in copy:
                pass
        return CopyResult(cursor.rowcount, perf_counter() - started_at)


def main() -> None:
    (count,) = sys.argv[1:]
    sys.stdout.buffer.write(msgspec.json.encode(measure(os.environ["ORDERS_POSTGRES__DSN"], int(count))))


if __name__ == "__main__":
    main()
