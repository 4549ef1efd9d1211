"""Commands and the API on topics with a batch that the client cannot decompress within its limit."""

from pathlib import Path

import httpx2
import pytest
from confluent_kafka import Producer

from tests.kit.factories import versioned
from tests.kit.harness import TIMEOUT_SECONDS, Harness
from tests.kit.stores import store

LIMITS = {
    "ORDERS_KAFKA__PROPERTIES__receive.message.max.bytes": "2000000",
    "ORDERS_KAFKA__PROPERTIES__fetch.max.bytes": "1000000",
}
KEY = "k" * 20


def produce_batch(harness: Harness, topic: str) -> None:
    """Produce a zstd batch of twice the limit to partition 0."""
    producer = Producer({
        "bootstrap.servers": harness.bootstrap_servers, "compression.type": "zstd", "linger.ms": 60_000,
        "message.max.bytes": 10**9, "batch.size": 10**9,
    })  # fmt: skip
    for _ in range(4):
        producer.produce(topic, b"x" * 1_000_000, partition=0)
    assert producer.flush(TIMEOUT_SECONDS) == 0


def problem(topic: str) -> str:
    return (
        f"cannot read {topic}, partition 0, offset 0: the batch cannot be decompressed; "
        "raise receive.message.max.bytes in ORDERS_KAFKA__PROPERTIES"
    )


@pytest.mark.parametrize(
    "command", [["dlq", "list"], ["dlq", "show", "0", "0"], ["dlq", "replay", "--dry-run"]], ids=" ".join
)
def test_a_command_names_the_dead_letters_that_cannot_be_decompressed(harness: Harness, command: list[str]) -> None:
    produce_batch(harness, harness.dead_letter_topic)
    ended = harness.spawn(*command, settings={**harness.settings, **LIMITS})
    assert ended.process.wait(TIMEOUT_SECONDS) == 1
    assert ended.tail(1) == f"orders: {problem(harness.dead_letter_topic)}"
    assert "Traceback" not in ended.tail()


def test_an_erasure_is_not_undone_if_records_cannot_be_decompressed(harness: Harness) -> None:
    store(harness.database, versioned(order_uid="a"))
    harness.output_of("erase", "--yes", "a")
    produce_batch(harness, harness.topic)
    ended = harness.spawn("erase", "--undo", "a", settings={**harness.settings, **LIMITS})
    assert ended.process.wait(TIMEOUT_SECONDS) == 1
    assert ended.tail(1) == f"orders: {problem(harness.topic)}"
    assert harness.query("SELECT count(*) FROM erased") == [(1,)]


def test_the_api_answers_503_with_the_batch_that_cannot_be_decompressed(harness: Harness, tmp_path: Path) -> None:
    produce_batch(harness, harness.dead_letter_topic)
    keys = tmp_path / "keys"
    keys.write_text(f"dead-letters {KEY}\n")
    api = harness.spawn("api", settings={**harness.settings, **LIMITS, "ORDERS_AUTH__KEYS_FILE": str(keys)}).ready()
    response = httpx2.get(f"{api.url}/dead-letters", headers={"X-API-Key": KEY}, timeout=TIMEOUT_SECONDS)
    assert (response.status_code, response.json()["detail"]) == (503, problem(harness.dead_letter_topic))
    assert not api.logged("request failed")
