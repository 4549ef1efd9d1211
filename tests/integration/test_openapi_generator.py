"""Clients of OpenAPI Generator, in Java and Go, compile and use the running API."""

import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.kit.api_process import store
from tests.kit.generated_clients import KEY, UIDS, class_path, generate, require, run, save_document
from tests.kit.harness import Harness
from tests.kit.processes import Service

JAVA_CLIENT = Path(__file__).with_name("GeneratedClient.java")
GO_CLIENT = Path(__file__).with_name("generated_client.go")


@pytest.fixture
def api(harness: Harness, tmp_path: Path) -> Service:
    store(harness.database, *UIDS)
    keys = tmp_path / "keys"
    keys.write_text(f"client read,replay {KEY}\n")
    return harness.spawn("api", settings={**harness.settings, "ORDERS_AUTH__KEYS_FILE": str(keys)}).ready()


@pytest.fixture
def document(api: Service, tmp_path: Path) -> Path:
    return save_document(api, tmp_path)


def expected(api: Service) -> dict[str, Any]:
    """Return what a client prints."""
    headers = {"Authorization": f"Bearer {KEY}"}
    order = httpx2.get(f"{api.url}/orders/first", headers=headers).raise_for_status().json()
    listed = httpx2.get(f"{api.url}/orders", headers=headers).raise_for_status().json()["orders"]
    return {
        "order_uid": "first",
        "amount": order["payment"]["amount"],
        "date_created": seconds(order["date_created"]),
        "stored_at": seconds(listed[2]["stored_at"]),
        "listed": ["third", "second", "first"],
        "has_cursor": False,
        "replay": {"dry_run": True, "refusal": "missing"},
        "problems": ["urn:orders:problem:order-not-found", 401],
    }


def seconds(timestamp: str) -> int:
    return int(datetime.fromisoformat(timestamp).timestamp())


def test_a_java_client_reads_orders_pages_and_problems_and_tries_a_replay(
    api: Service, document: Path, tmp_path: Path
) -> None:
    compiler, jars, classes = require("javac"), class_path(), tmp_path / "classes"
    options = {"library": "native", "openApiNullable": "false", "useJakartaEe": "true"}
    client = generate("java", document, tmp_path / "client", **options)
    sources = [JAVA_CLIENT, *(client / "src" / "main").rglob("*.java")]
    run(compiler, "-nowarn", "-proc:none", "-cp", jars, "-d", classes, *sources, folder=tmp_path)
    program = Path(compiler).with_name("java")
    output = run(program, "-cp", f"{classes}:{jars}", "GeneratedClient", api.url, KEY, "first", folder=tmp_path)
    assert json.loads(output) == expected(api)


def test_a_go_client_reads_orders_pages_and_problems_and_tries_a_replay(
    api: Service, document: Path, tmp_path: Path
) -> None:
    compiler, module = require("go"), tmp_path / "client"
    generate("go", document, module / "openapi", withGoMod="false")
    (module / "go.mod").write_text("module client\n\ngo 1.24\n")
    shutil.copy(GO_CLIENT, module / "main.go")
    run(compiler, "vet", "./...", folder=module)
    output = run(compiler, "run", ".", api.url, KEY, "first", folder=module)
    assert json.loads(output) == expected(api)
