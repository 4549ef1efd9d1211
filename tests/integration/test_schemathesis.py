"""Schemathesis sends the running API valid and invalid requests for `/openapi.json`."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from threading import Event, Thread

import httpx2
import pytest

from service.config import KafkaSettings
from tests.kit.dlq import dead_letter, produce
from tests.kit.factories import SAMPLE, versioned
from tests.kit.processes import ROOT, Service, Spawn
from tests.kit.stores import writing

PROGRAM = Path(sys.executable).parent / "schemathesis"
OPTIONS = ["--max-examples", "50", "--generation-deterministic"]
OPERATIONS = [
    'handler="/orders/{order_uid}",method="GET"',
    'handler="/orders/{order_uid}/history",method="GET"',
    'handler="/orders",method="GET"',
    'handler="/orders/lookup",method="POST"',
    'handler="/events",method="GET"',
    'handler="/stats",method="GET"',
    'handler="/dead-letters",method="GET"',
    'handler="/dead-letters/counts",method="GET"',
    'handler="/dead-letters/{partition}/{offset}",method="GET"',
    'handler="/dead-letters/replay",method="POST"',
    'handler="/livez",method="GET"',
    'handler="/readyz",method="GET"',
    'handler="/startupz",method="GET"',
]
KEY = "k" * 24
TIMEOUT_SECONDS = 480
"""Detects a hang: about 2,000 requests take a minute of CPU, and several minutes on a busy machine."""
STORE_INTERVAL_SECONDS = 0.05


@contextmanager
def storing_orders(dsn: str) -> Iterator[None]:
    """Store orders continuously, so that there are events and lists change."""
    stop = Event()

    def store_until_stopped() -> None:
        for number in count():
            if stop.wait(STORE_INTERVAL_SECONDS):
                return
            writer.store([versioned(number, order_uid=f"new{number // 2}", sm_id=number)])  # each is replaced once

    with writing(dsn) as writer:
        writer.store(
            [versioned(0, order_uid=SAMPLE["order_uid"]), *(versioned(n, order_uid=f"o{n}") for n in range(1, 50))]
        )
        thread = Thread(target=store_until_stopped)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


@pytest.fixture
def service(
    spawn: Spawn, settings: dict[str, str], database: str, kafka: KafkaSettings, tmp_path: Path
) -> Iterator[Service]:
    """An API with keys, which enable the dead-letter endpoints, and a dead letter."""
    produce(kafka, dead_letter(kafka, 1))
    keys = tmp_path / "keys"
    keys.write_text(f"tests read,dead-letters,replay {KEY}\n")
    with storing_orders(database):
        yield spawn("api", settings={**settings, "ORDERS_AUTH__KEYS_FILE": str(keys)}).ready()


def test_schemathesis_finds_nothing(service: Service, tmp_path: Path) -> None:
    config = tmp_path / "schemathesis.toml"
    config.write_text((ROOT / "schemathesis.toml").read_text() + f'\n[auth.openapi.HTTPBearer]\nbearer = "{KEY}"\n')
    command = ["--config-file", str(config), "run", f"{service.url}/openapi.json", *OPTIONS]
    run = subprocess.run(  # noqa: S603 - a fixed program
        [PROGRAM, *command], cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )
    assert run.returncode == 0, run.stdout
    assert f"Operations:       {len(OPERATIONS)} selected / {len(OPERATIONS)} total" in run.stdout
    metrics = httpx2.get(f"http://127.0.0.1:{service.admin_port}/metrics").text
    for operation in OPERATIONS:
        assert f'orders_http_requests_total{{{operation},status="200"}}' in metrics
