"""Takes the screenshots of docs/page.md from a running demo: `make screenshots`."""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import httpx2
from confluent_kafka import Producer
from playwright.sync_api import Browser, Page, expect, sync_playwright

from local.ports import HOST, free_port
from local.process import Process
from service.pkg.shutdown_event import ShutdownEvent
from tests.browser.conftest import CHROMIUM, OPTIONS
from tests.browser.page import enter_key
from tests.kit.waiting import eventually

if TYPE_CHECKING:
    from playwright.sync_api import FloatRect, Locator

FOLDER = Path(__file__).parents[2] / "docs" / "images"
MAX_HEIGHT = 1_800
START_SECONDS = 180.0
MINUTE_MS = 60_000
KEY = re.compile("API key: (.+)")
PAGE_SETTINGS = {
    "ORDERS_PAGE__MAX_LAG": "50000",
    "ORDERS_PAGE__MAX_WAITING_READS": "0",
    "ORDERS_PAGE__METRICS_URL": "https://prometheus.example.com",
    "ORDERS_PAGE__GRAFANA_URL": "https://grafana.example.com",
    "ORDERS_PAGE__KAFKA_UI_URL": "https://kafka-ui.example.com",
    "ORDERS_PAGE__RUNBOOKS_URL": "https://git.example.com/orders/docs/runbooks",
}
BOOTSTRAP_SERVERS = re.compile("export ORDERS_KAFKA__BOOTSTRAP_SERVERS=(.+)")


class Variant(NamedTuple):
    width: int
    height: int
    scheme: Literal["light", "dark"]


VARIANTS: Mapping[str, Variant] = {
    "light": Variant(1_280, 860, "light"),
    "dark": Variant(1_280, 860, "dark"),
    "320": Variant(320, 740, "light"),
    "1920": Variant(1_920, 1_080, "light"),
}


def main() -> int:
    if not CHROMIUM:
        print("chromium not found on PATH", file=sys.stderr)  # noqa: T201
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (
        demo() as running,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS) as browser,
    ):
        take_all(browser, running)
    return 0


@dataclass(frozen=True)
class Demo:
    url: str
    key: str
    bootstrap_servers: str

    def get(self, path: str) -> Any:
        response = httpx2.get(f"{self.url}{path}", headers={"X-API-Key": self.key})
        return response.raise_for_status().json()

    def order(self) -> Any:
        """Wait for a recent order in ASCII, which every machine has fonts for, and return it."""
        return eventually(self._ascii_order, within=60)

    def _ascii_order(self) -> Any:
        recent = self.get("/orders?limit=100")["orders"]
        orders = (self.get(f"/orders/{each['order_uid']}") for each in recent)
        return next((each for each in orders if json.dumps(each, ensure_ascii=False).isascii()), None)

    def send(self, order: Any, payment: Mapping[str, Any]) -> None:
        """Send the order with another payment."""
        value = json.dumps(order | {"payment": order["payment"] | payment}).encode()
        producer = Producer({"bootstrap.servers": self.bootstrap_servers})
        producer.produce("orders", value, order["order_uid"].encode())
        assert producer.flush(10) == 0


@contextmanager
def demo() -> Iterator[Demo]:
    port = free_port()
    command = [sys.executable, "-m", "service", "demo", "--keys", "--port", str(port), "--rate", "80"]
    environment = {**os.environ, **PAGE_SETTINGS}
    with (
        TemporaryDirectory() as folder,
        Process("orders demo", command, Path(folder) / "demo.log", environment=environment) as process,
    ):
        process.wait_until(lambda: "to try next" in process.log.read_text(), START_SECONDS, ShutdownEvent())
        yield Demo(f"http://{HOST}:{port}", *(_logged(process.log, each) for each in (KEY, BOOTSTRAP_SERVERS)))


def _logged(log: Path, pattern: re.Pattern[str]) -> str:
    found = pattern.search(log.read_text())
    assert found is not None
    return found[1]


def take_all(browser: Browser, running: Demo) -> None:
    """Wait a minute for the charts, then take each page in each variant."""
    with browser.new_context(locale="en-GB", timezone_id="UTC") as context:
        page = context.new_page()
        page.goto(running.url)
        enter_key(page, running.key)
        orders = page.get_by_role("group", name="Recent orders")
        expect(orders).to_be_visible(timeout=MINUTE_MS)
        eventually(lambda: page.evaluate("performance.now()") > MINUTE_MS, 2 * MINUTE_MS / 1_000)
        order = running.order()
        uid = order["order_uid"]
        running.send(order, {"bank": "Bank of the North"})
        running.send(order, {"amount": "1,817"})
        take(page, "start", f"{running.url}/#/", orders, page.get_by_role("button", name="Refresh").click)
        take(page, "order", f"{running.url}/#/orders/{uid}", page.get_by_role("article"))
        versions = page.get_by_role("group", name="Versions").locator("tbody tr").nth(1)
        take(page, "history", f"{running.url}/#/orders/{uid}?tab=history", versions)
        consumers = page.get_by_role("group", name="Consumers").locator("tbody tr").first  # none while they are unknown
        take(page, "operations", f"{running.url}/#/operations", consumers)
        take_repair(page, running, uid)


def take_repair(page: Page, running: Demo, uid: str) -> None:
    """Take the dead letters, and the repair of one, which is below them, on its own."""
    [dead_letter] = running.get(f"/dead-letters?order={uid}")["dead_letters"]
    selected = f"{dead_letter['partition']}.{dead_letter['offset']}"
    url = f"{running.url}/#/dead-letters?text=payment.amount&selected={selected}"
    repair = page.get_by_role("region", name="Repair and replay")
    place = repair.get_by_role("button", name="payment.amount")
    take(page, "dead-letters", url, page.get_by_role("group", name="Dead letters"), place.click)
    for variant in VARIANTS:
        show(page, variant)
        repair.screenshot(path=FOLDER / f"repair-{variant}.png")


def take(page: Page, name: str, url: str, shown: "Locator", prepare: Callable[[], object] = lambda: None) -> None:
    """Take the page from its top, at most MAX_HEIGHT pixels of it, as soon as `shown` is visible."""
    page.goto(url)
    for variant in VARIANTS:
        show(page, variant)
        expect(shown).to_be_visible(timeout=MINUTE_MS)
        prepare()
        page.mouse.move(0, 0)
        page.evaluate("scrollTo(0, 0)")
        width, height = page.evaluate("[innerWidth, document.documentElement.scrollHeight]")
        clip: FloatRect = {"x": 0, "y": 0, "width": width, "height": min(height, MAX_HEIGHT)}
        page.screenshot(path=FOLDER / f"{name}-{variant}.png", full_page=True, clip=clip)


def show(page: Page, variant: str) -> None:
    width, height, scheme = VARIANTS[variant]
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme=scheme)


if __name__ == "__main__":
    sys.exit(main())
