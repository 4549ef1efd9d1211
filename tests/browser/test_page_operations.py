"""The page's view of operations: partitions and their owners, consumers, pool, thresholds and links."""

import re
from collections.abc import Mapping
from socket import gethostname
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.kit.consumers import assigned
from tests.kit.factories import order_document
from tests.kit.harness import Harness, orders
from tests.kit.processes import Service, Spawn
from tests.kit.temporary import PARTITIONS

if TYPE_CHECKING:
    from tests.browser.conftest import Visit

REFRESHED_MS = 30_000
"""For what the API reads from Kafka every five seconds."""
LINKS = {
    "Metrics": ("ORDERS_PAGE__METRICS_URL", "https://prometheus.example.com/graph"),
    "Grafana dashboard": ("ORDERS_PAGE__GRAFANA_URL", "https://grafana.example.com/d/orders"),
    "Kafka UI": ("ORDERS_PAGE__KAFKA_UI_URL", "https://kafka-ui.example.com"),
    "Runbooks": ("ORDERS_PAGE__RUNBOOKS_URL", "https://git.example.com/runbooks"),
}
NO_CONSUMER = re.compile(
    r"^No consumer has been running since \d+:\d\d:\d\d.[AP]M: stored orders are served, but new ones wait in Kafka\.$"
)
variants = pytest.mark.parametrize(("scheme", "width"), [("light", 320), ("dark", 1_920)])


@pytest.fixture
def service(spawn: Spawn, settings: Mapping[str, str]) -> Service:
    return spawn("api", settings=settings).ready()


def open_operations(page: Page, service: Service, scheme: Any = "light", width: int = 1_280) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    page.goto(f"{service.url}/#/operations")


def partition(page: Page, number: int) -> Locator:
    return page.get_by_role("group", name="Partitions").locator("tbody tr").nth(number)


def lag(page: Page) -> Locator:
    return page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="Lag, messages"))


@variants
def test_partitions_have_their_lag_and_owner_and_consumers_what_they_own(
    visit: "Visit", service: Service, harness: Harness, scheme: str, width: int
) -> None:
    page = visit.page
    assigned(harness.consumer())
    open_operations(page, service, scheme, width)
    member = f"orders-{gethostname()}"
    consumers = page.get_by_role("group", name="Consumers").locator("tbody tr")
    expect(consumers).to_have_text([f"{member}0\N{EN DASH}{PARTITIONS - 1}"], timeout=REFRESHED_MS)
    expect(partition(page, 0)).to_have_text(f"00\N{EN DASH}{member}")
    expect(partition(page, 0).locator("path")).to_have_attribute("d", re.compile(r"^M[\d.]+ 40L"), timeout=REFRESHED_MS)
    expect(page.get_by_role("status", name="Outages")).to_have_text("")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert visit.axe_violations() == []


@variants
def test_without_a_consumer_a_banner_says_since_when_and_what_still_works(
    visit: "Visit", service: Service, harness: Harness, scheme: str, width: int
) -> None:
    page = visit.page
    open_operations(page, service, scheme, width)
    banner = page.get_by_role("status", name="Outages")
    expect(banner).to_have_text(NO_CONSUMER, timeout=REFRESHED_MS)
    expect(page.get_by_role("region", name="Consumers")).to_contain_text("No consumer has been running since")
    harness.produce(*orders([order_document(order_uid=uid) for uid in ("one", "two")]))
    expect(partition(page, 0)).to_have_text(re.compile(r"^02[\d.]+ s▲ no owner$"), timeout=REFRESHED_MS)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert visit.axe_violations() == []
    harness.consumer()
    expect(banner).to_have_text("", timeout=REFRESHED_MS)


@variants
def test_a_value_above_the_threshold_of_its_alert_is_marked_in_words(
    visit: "Visit", spawn: Spawn, settings: Mapping[str, str], harness: Harness, scheme: str, width: int
) -> None:
    page = visit.page
    harness.produce(*orders([order_document(order_uid="one")]))
    links = dict(LINKS.values())
    limits = {"ORDERS_PAGE__MAX_LAG": "0", "ORDERS_PAGE__MAX_WAITING_READS": "0", "ORDERS_COMMIT": "3f786850e387550f"}
    open_operations(page, spawn("api", settings={**settings, **links, **limits}).ready(), scheme, width)
    expect(lag(page)).to_contain_text("▲ above the alert threshold of 0", timeout=REFRESHED_MS)
    expect(lag(page)).to_contain_text("Alert threshold: 0.")
    process = page.get_by_role("region", name="This API process")
    expect(process).to_contain_text(re.compile(r"Connections in use\d of \d, at most 8Reads waiting for a connection0"))
    expect(process).to_contain_text("Commit3f786850e387")
    tools = page.get_by_role("navigation", name="Other tools")
    for name, (_, url) in LINKS.items():
        expect(tools.get_by_role("link", name=name)).to_have_attribute("href", url)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert visit.axe_violations() == []
    harness.consumer()
    expect(lag(page)).not_to_contain_text("▲", timeout=REFRESHED_MS)


def test_without_settings_there_are_no_thresholds_and_a_hint_how_to_set_links(
    visit: "Visit", service: Service, harness: Harness
) -> None:
    page = visit.page
    harness.produce(*orders([order_document(order_uid="one")]))
    open_operations(page, service)
    expect(lag(page).locator(".value")).to_have_text("1", timeout=REFRESHED_MS)
    expect(lag(page)).not_to_contain_text("threshold")
    tools = page.get_by_role("navigation", name="Other tools")
    expect(tools).to_contain_text("ORDERS_PAGE__GRAFANA_URL")
    expect(tools.get_by_role("link")).to_have_count(0)
