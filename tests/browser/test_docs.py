"""`/docs` in a real browser without access to other machines."""

from typing import TYPE_CHECKING

import httpx2
import pytest
from playwright.sync_api import expect

from tests.kit.factories import SAMPLE, versioned
from tests.kit.processes import Service, Spawn
from tests.kit.stores import store

if TYPE_CHECKING:
    from tests.browser.conftest import Visit

UID = SAMPLE["order_uid"]


@pytest.fixture
def service(spawn: Spawn, database: str) -> Service:
    store(database, versioned(0, order_uid=UID))
    settings = {"ORDERS_POSTGRES__DSN": database, "ORDERS_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9"}
    return spawn("api", settings=settings).ready()


def test_the_docs_show_every_operation_without_external_requests(visit: "Visit", service: Service) -> None:
    paths = httpx2.get(f"{service.url}/openapi.json").json()["paths"]
    operations = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    visit.page.goto(f"{service.url}/docs")
    blocks = visit.page.locator(".opblock-summary:visible")
    expect(blocks).to_have_count(len(operations))
    shown = [
        (block.locator(".opblock-summary-method").inner_text(), block.locator("[data-path]").get_attribute("data-path"))
        for block in blocks.all()
    ]
    assert set(shown) == operations
    assert (visit.external, visit.console_problems) == ([], [])


def test_an_operation_can_be_tried_out(visit: "Visit", service: Service) -> None:
    visit.page.goto(f"{service.url}/docs")
    operation = visit.page.locator("#operations-orders-get_order")
    operation.locator(".opblock-summary-control").click()
    operation.get_by_placeholder("order_uid").fill(UID)
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table .response-col_status").last).to_have_text("200")
    expect(operation.locator(".live-responses-table")).to_contain_text(SAMPLE["delivery"]["email"])
    assert (visit.external, visit.console_problems) == ([], [])


def test_external_requests_and_policy_violations_are_detected(unchecked_visit: "Visit", service: Service) -> None:
    unchecked_visit.page.goto("about:blank")
    unchecked_visit.page.evaluate("fetch('https://other.example/a').catch(() => {})")
    assert unchecked_visit.external == ["https://other.example/a"]
    unchecked_visit.page.goto(f"{service.url}/docs")
    unchecked_visit.console_problems.clear()
    unchecked_visit.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p style=\"color: red\">')")
    expect(unchecked_visit.page.locator("body > p")).to_have_count(1)
    assert "Content Security Policy" in unchecked_visit.console_problems[0]
