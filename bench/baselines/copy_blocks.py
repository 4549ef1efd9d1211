"""Baseline for storing, the upper limit: a client that only sends prepared blocks to COPY.

Run as `python -m bench.baselines.copy_blocks FOLDER`, with ORDERS_POSTGRES__DSN.
"""

import sys
from pathlib import Path
from time import monotonic, process_time

import psycopg

from bench import blocks
from bench.ingest_result import IngestResult
from service import config
from service.pkg.output import echo


def main() -> None:
    """Print an IngestResult from the first commit to the last, as one line of JSON."""
    orders, transactions = blocks.read(Path(sys.argv[1]))
    with psycopg.connect(config.load().postgres.dsn) as connection:
        cpu = process_time()
        commits = [monotonic() for _ in blocks.load(connection, transactions)]
        cpu = process_time() - cpu
    echo(IngestResult(sum(orders[1:]), commits[-1] - commits[0], sum(orders), cpu).to_json())


if __name__ == "__main__":
    main()
