"""Accessibility and size of the page."""

import gzip
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from local.ports import HOST, free_port, is_listening
from local.process import Process
from service.handler.http.routes.page import page_folder
from service.pkg.shutdown_event import ShutdownEvent
from tests.browser.page import UID, Store, events, figure, rows, search
from tests.kit.processes import Service

if TYPE_CHECKING:
    from tests.browser.conftest import Visit


ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
MAX_SCRIPT_BYTES = 100_000
MAX_FIRST_PAINT_MS = 1_000
DEV_SERVER_START_SECONDS = 120.0
DEV_SERVER_MS = 60_000
"""For a view from the development server, which compiles each module when it is first requested."""


@pytest.fixture
def dev_server(service: Service, tmp_path: Path) -> Iterator[str]:
    """The URL of the page served by `npm run dev`, in front of the API."""
    port = free_port()
    options = ["--host", HOST, "--port", str(port), "--strictPort"]
    command = [str(BIN / "npm"), "--prefix", str(ROOT / "web"), "run", "dev", "--", *options]
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "ORDERS_API": service.url}
    with Process("vite", command, tmp_path / "vite.log", environment=environment) as vite:
        vite.wait_until(lambda: is_listening(port), DEV_SERVER_START_SECONDS, ShutdownEvent())
        yield f"http://{HOST}:{port}"


schemes = pytest.mark.parametrize("scheme", ["light", "dark"])


@schemes
@pytest.mark.parametrize(
    "path",
    [
        f"#/orders/{UID}",
        f"#/orders/{UID}?tab=json",
        f"#/orders/{UID}?tab=history",
        "#/orders/unknown",
        "#/search?q=none",
        "#/dead-letters",
        "#/operations",
        "#/nothing",
    ],
)
def test_views_pass_axe(visit: "Visit", shared_service: Service, path: str, scheme: Any) -> None:
    visit.page.emulate_media(color_scheme=scheme)
    visit.page.goto(f"{shared_service.url}/{path}")
    expect(figure(visit.page, "Readiness")).to_contain_text("ready")
    assert visit.axe_violations() == []


@schemes
def test_the_live_feed_passes_axe(visit: "Visit", service: Service, store: Store, scheme: Any) -> None:
    visit.page.emulate_media(color_scheme=scheme)
    visit.page.goto(service.url)
    expect(visit.page.get_by_role("status", name="Connection")).to_have_text("Connected")
    store("stored-later")
    expect(events(visit.page)).to_have_count(1)
    assert visit.axe_violations() == []


def test_the_key_form_passes_axe(visit: "Visit", service_with_keys: Service) -> None:
    visit.page.goto(service_with_keys.url)
    expect(visit.page.get_by_label("API key")).to_be_visible()
    assert visit.axe_violations() == []


def test_axe_reports_a_missing_label(unchecked_visit: "Visit", shared_service: Service) -> None:
    unchecked_visit.page.goto(shared_service.url)
    unchecked_visit.page.evaluate("document.body.append(document.createElement('input'))")
    assert [rule for rule, _ in unchecked_visit.axe_violations() if rule == "label"] == ["label"]


def test_the_page_works_by_keyboard(visit: "Visit", service: Service) -> None:
    page = visit.page
    page.goto(service.url)
    expect(rows(page)).to_have_count(1)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("/")
    expect(search(page)).to_be_focused()
    page.keyboard.type(UID)
    page.keyboard.press("Enter")
    expect(page.get_by_role("article")).to_be_visible()
    search(page).focus()
    seen = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.textContent.trim() || document.activeElement.ariaLabel"))
    assert {"Copy as curl", "Copy link", "JSON document"} <= seen


@pytest.mark.parametrize(
    "path", ["", f"#/orders/{UID}", f"#/orders/{UID}?tab=json", "#/search?q=none", "#/dead-letters", "#/operations"]
)
def test_a_narrow_screen_scrolls_only_vertically(visit: "Visit", service: Service, store: Store, path: str) -> None:
    page = visit.page
    page.set_viewport_size({"width": 320, "height": 640})
    store("x" * 64)
    page.goto(f"{service.url}/{path}")
    expect(figure(page, "Readiness")).to_contain_text("ready")
    if not path:
        expect(page.get_by_role("status", name="Connection")).to_have_text("Connected")
        store("y" * 64)
        expect(events(page)).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") == 320


def test_the_page_is_small_and_paints_quickly(visit: "Visit", service: Service) -> None:
    scripts = [*(page_folder() / "assets").glob("*.js")]
    assert scripts
    assert sum(len(gzip.compress(script.read_bytes())) for script in scripts) < MAX_SCRIPT_BYTES
    visit.page.goto(service.url)
    expect(rows(visit.page)).to_have_count(1)
    paint = visit.page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert paint < MAX_FIRST_PAINT_MS


def test_the_development_server_uses_the_api_of_another_address(visit: "Visit", dev_server: str) -> None:
    visit.page.goto(f"{dev_server}/#/orders/{UID}", timeout=DEV_SERVER_MS)
    expect(visit.page.get_by_role("heading", name=UID)).to_be_visible(timeout=DEV_SERVER_MS)
    visit.page.get_by_role("link", name="Orders", exact=True).click()
    expect(visit.page.get_by_role("status", name="Connection")).to_have_text("Connected", timeout=DEV_SERVER_MS)
