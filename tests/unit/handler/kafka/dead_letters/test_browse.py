"""Reads of the dead-letter topic that wait for each other; `tests/integration/test_browse.py` has the others."""

import asyncio
from threading import Event

import pytest
from confluent_kafka import Consumer

from service.errors import KafkaUnavailable
from service.handler.kafka.dead_letters import browse
from service.handler.kafka.dead_letters.browse import KafkaDeadLetterReader

pytestmark = pytest.mark.anyio

TIMEOUT_SECONDS = 20.0


async def test_a_read_waits_for_others_for_a_limited_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browse, "QUEUE_TIMEOUT_SECONDS", 0.0)
    started, may_end = Event(), Event()

    def connect() -> Consumer:
        started.set()
        may_end.wait(TIMEOUT_SECONDS)
        raise KafkaUnavailable("no broker")

    reader = KafkaDeadLetterReader(connect, "orders.dlq")
    first = asyncio.create_task(reader.find(0, 0))
    assert await asyncio.to_thread(started.wait, TIMEOUT_SECONDS)
    with pytest.raises(KafkaUnavailable, match=r"^other reads of the dead-letter topic are running$"):
        await reader.find(0, 1)
    may_end.set()
    with pytest.raises(KafkaUnavailable, match=r"^the dead-letter topic is unreachable$"):
        await first
