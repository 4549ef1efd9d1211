"""Clients that are generated from the API's OpenAPI document compile, and read from the running API."""

import json
import shutil
import sys
from datetime import datetime
from http import HTTPStatus
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.kit.api_process import store
from tests.kit.generated_clients import KEY, UIDS, run, save_document
from tests.kit.processes import ROOT, Service, Spawn

PACKAGE = "orders_client"
OPERATIONS = ("get_order", "list_orders", "look_up_orders")
BIN = Path(sys.executable).parent
MODULES = ROOT / "web" / "node_modules"
TYPESCRIPT_CLIENT = Path(__file__).with_name("generated_client.ts")


@pytest.fixture
def api(spawn: Spawn, api_settings: dict[str, str], database: str, tmp_path: Path) -> Service:
    store(database, *UIDS)
    keys = tmp_path / "keys"
    keys.write_text(f"read {KEY}\n")
    return spawn("api", settings={**api_settings, "ORDERS_AUTH__KEYS_FILE": str(keys)}).ready()


@pytest.fixture
def document(api: Service, tmp_path: Path) -> Path:
    return save_document(api, tmp_path)


def read_order(api: Service, uid: str) -> dict[str, Any]:
    response = httpx2.get(f"{api.url}/orders/{uid}", headers={"Authorization": f"Bearer {KEY}"})
    order: dict[str, Any] = response.raise_for_status().json()
    return order


@pytest.fixture
def python_client(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The generated package, imported with its modules."""
    config = tmp_path / "config.yml"
    config.write_text("post_hooks: []\n")  # do not format the code
    options = ("--path", document, "--output-path", tmp_path / PACKAGE, "--config", config, "--meta", "none")
    run(BIN / "openapi-python-client", "generate", "--fail-on-warning", *options, folder=tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    modules = ("models", "api.service.read_stats", *(f"api.orders.{name}" for name in OPERATIONS))
    for module in modules:
        import_module(f"{PACKAGE}.{module}")
    return import_module(PACKAGE)


def test_a_client_of_openapi_python_client_reads_orders(api: Service, python_client: Any) -> None:
    orders, service = python_client.api.orders, python_client.api.service
    with python_client.AuthenticatedClient(api.url, KEY, raise_on_unexpected_status=True) as client:
        order = orders.get_order.sync("first", client=client)
        page = orders.list_orders.sync(client=client, limit=2)
        stats = service.read_stats.sync(client=client)
    stored = read_order(api, "first")
    assert isinstance(order, python_client.models.Order)
    assert order.date_created == datetime.fromisoformat(stored["date_created"])
    assert order.to_dict() | {"date_created": stored["date_created"]} == stored
    assert [each.order_uid for each in page.orders] == ["third", "second"]
    assert isinstance(page.next_cursor, str)
    assert stats.stored == len(UIDS)


def test_a_client_of_openapi_python_client_looks_orders_up(api: Service, python_client: Any) -> None:
    models, orders = python_client.models, python_client.api.orders
    body = models.LookUpOrders(order_uids=["third", "missing", "first"])
    with python_client.AuthenticatedClient(api.url, KEY, raise_on_unexpected_status=True) as client:
        found = orders.look_up_orders.sync(client=client, body=body)
        refused = orders.look_up_orders.sync(client=client, body=models.LookUpOrders(order_uids=["not an id"]))
    assert [each.order_uid for each in found.orders] == ["third", "first"]
    assert found.missing == ["missing"]
    assert [each.name for each in refused.errors] == ["order_uids[0]"]


def test_a_client_of_openapi_python_client_reads_problems(api: Service, python_client: Any) -> None:
    orders = python_client.api.orders
    with python_client.AuthenticatedClient(api.url, KEY, raise_on_unexpected_status=True) as client:
        missing = orders.get_order.sync_detailed("missing", client=client)
        invalid = orders.list_orders.sync(client=client, limit=201)
    with python_client.Client(api.url) as client:
        denied = orders.get_order.sync("first", client=client)
    assert (missing.status_code, missing.parsed.status) == (HTTPStatus.NOT_FOUND, HTTPStatus.NOT_FOUND)
    assert missing.parsed.request_id == missing.headers["x-request-id"]
    assert [each.name for each in invalid.errors] == ["limit"]
    assert denied.status == HTTPStatus.UNAUTHORIZED


def test_a_client_of_openapi_typescript_reads_orders(api: Service, document: Path, tmp_path: Path) -> None:
    if not MODULES.is_dir():
        pytest.fail("the page's packages are not installed: run `make web`")
    (tmp_path / "node_modules").symlink_to(MODULES)
    client = shutil.copy(TYPESCRIPT_CLIENT, tmp_path / "client.ts")
    node = BIN / "node"
    run(node, MODULES / "openapi-typescript/bin/cli.js", document, "-o", "schema.d.ts", folder=tmp_path)
    options = ["--strict", "--noEmit", "--skipLibCheck", "--target", "es2022", "--module", "esnext"]
    options += ["--moduleResolution", "bundler", "--types", "node"]
    run(node, MODULES / "typescript/bin/tsc", *options, client, folder=tmp_path)
    answers = json.loads(run(node, client, api.url, KEY, "first", folder=tmp_path))
    stored = read_order(api, "first")
    assert answers == {
        "order": stored,
        "sum": sum(item["total_price"] for item in stored["items"]),
        "listed": ["third", "second"],
        "lookedUp": ["first"],
        "notFound": ["missing"],
        "hasCursor": True,
        "stored": len(UIDS),
        "hasTag": True,
        "missing": 404,
        "rules": answers["rules"],
        "denied": 401,
    }
    assert [rule.partition(":")[0] for rule in answers["rules"]] == ["limit"]
