"""Takes the tutorial's screenshots from a running demo: `make screenshots`."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from local.ports import HOST, free_port, is_free
from local.process import Process
from service.pkg.shutdown_event import ShutdownEvent
from tests.browser.conftest import CHROMIUM, OPTIONS
from tests.kit.waiting import eventually

if TYPE_CHECKING:
    from playwright.sync_api import ViewportSize

FOLDER = Path(__file__).parents[2] / "docs" / "images"
WIDE: "ViewportSize" = {"width": 1280, "height": 860}
NARROW: "ViewportSize" = {"width": 360, "height": 740}
START_SECONDS = 180.0
MINUTE_MS = 60_000
LATIN_SCRIPT_CURRENCIES = re.compile("USD|GBP|SEK|DKK|PLN")
"""Currencies of orders with Latin-script addresses, which every machine has fonts for."""


def main() -> int:
    if not CHROMIUM:
        print("chromium not found on PATH", file=sys.stderr)  # noqa: T201
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (
        demo() as url,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS) as browser,
    ):
        take(browser, url)
    return 0


@contextmanager
def demo() -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "service", "demo", "--port", str(port), "--rate", "80"]
    with TemporaryDirectory() as folder, Process("orders demo", command, Path(folder) / "demo.log") as process:
        process.wait_until(lambda: not is_free(port), START_SECONDS, ShutdownEvent())
        yield f"http://{HOST}:{port}"


def take(browser: Browser, url: str) -> None:
    """Wait a minute for the rate chart, then take the start page and an order, in dark mode and on a narrow screen."""
    with visit(browser, url, WIDE, "light") as page:
        eventually(lambda: page.evaluate("performance.now()") > MINUTE_MS, 2 * MINUTE_MS / 1_000)
        page.screenshot(path=FOLDER / "page-light.png")
    for name, size, scheme in (("page-dark", WIDE, "dark"), ("page-narrow", NARROW, "light")):
        with visit(browser, url, size, scheme) as page:
            rows = page.get_by_role("group", name="Recent orders").get_by_role("row")
            rows.filter(has_text=LATIN_SCRIPT_CURRENCIES).get_by_role("link").first.click()
            expect(page.get_by_role("article")).to_be_visible()
            page.screenshot(path=FOLDER / f"{name}.png")


@contextmanager
def visit(browser: Browser, url: str, size: "ViewportSize", scheme: Any) -> Iterator[Page]:
    with browser.new_context(viewport=size, color_scheme=scheme, locale="en-GB", timezone_id="UTC") as context:
        page = context.new_page()
        page.goto(url)
        expect(page.get_by_role("group", name="Recent orders")).to_be_visible(timeout=MINUTE_MS)
        yield page


if __name__ == "__main__":
    sys.exit(main())
