"""Jobs of k8s/ that operators run by hand. tests/cluster/test_lifecycle.py runs k8s/erase.yaml."""

import json

import pytest

from service.repo.schema.tables import metadata
from tests.cluster.release import Release
from tests.kit import citus
from tests.kit.factories import Document, order_document
from tests.kit.waiting import eventually

pytestmark = pytest.mark.nightly

CITUS = f"""
ALTER DATABASE orders SET citus.shard_count = 32;
{citus.CATALOGS}
{citus.FUNCTIONS}
{citus.RUN_COMMAND.format(is_second_reachable=True, second_result="'0'")};
GRANT INSERT ON pg_dist_partition TO orders;
GRANT USAGE ON SEQUENCE colocation_ids TO orders;
"""
"""Stand-ins of Citus. Its real functions need no privilege on the catalog."""
LIMITS = {"receive.message.max.bytes": 2_000_000, "fetch.max.bytes": 1_000_000}
ORDER_BYTES, ORDERS = 1_000_000, 4
"""Of the batch: each order is below LIMITS, all together are beyond."""
HINT = "`orders skip-batch 0 0 --topic orders --to FILE`"
PRODUCE = """
import os, sys
from confluent_kafka import Producer
topic = os.environ["ORDERS_KAFKA__TOPIC"]
producer = Producer({
    "bootstrap.servers": os.environ["ORDERS_KAFKA__BOOTSTRAP_SERVERS"], "compression.type": "zstd",
    "linger.ms": 60_000, "message.max.bytes": 10**9, "batch.size": 10**9,
})
producer.list_topics(topic, timeout=10)
for line in sys.stdin.buffer:
    producer.produce(topic, line, partition=0)
assert not producer.flush(30)
"""


def test_the_example_job_skips_a_batch_that_blocks_the_consumers(release: Release) -> None:
    settings = {"ORDERS_KAFKA__PROPERTIES": json.dumps(LIMITS)}
    release.install("--set-json", f"settings={json.dumps(settings)}")
    produce(release, *(order_document(extra="x" * ORDER_BYTES) for _ in range(ORDERS)))
    consumer = f"deployment/{release.name}-consumer"
    eventually(lambda: HINT in release.kubectl("logs", consumer), within=60, what=HINT)
    produce(release, order_document(order_uid="next"))
    scale(release, 0)
    eventually(lambda: not release.items("pods", "consumer"), within=60, what="no consumer")
    release.run_example("skip-batch.yaml", PARTITION="0", OFFSET="0")
    scale(release, 1)
    eventually(lambda: release.psql("SELECT order_uid FROM orders") == "next", within=60, what="a stored order")


def produce(release: Release, *documents: Document) -> None:
    """Produce orders as one zstd batch to partition 0."""
    lines = "".join(f"{json.dumps(document)}\n" for document in documents)
    where = ("--stdin", f"deployment/{release.name}-consumer", "--container", "consumer")
    release.kubectl("exec", *where, "--", "python", "-c", PRODUCE, stdin=lines)


def test_the_example_job_distributes_the_tables(release: Release) -> None:
    release.install("--set", "consumer.replicas=0")
    release.psql(CITUS)
    release.run_example("distribute.yaml")
    assert set(release.psql("SELECT logicalrelid FROM pg_dist_partition").split()) == set(metadata.tables)


def scale(release: Release, replicas: int) -> None:
    release.upgrade("--reuse-values", "--set", f"consumer.replicas={replicas}")
