"""Takes the documents' screenshots from a running demo: `make screenshots`."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from playwright.sync_api import Browser, Page, expect, sync_playwright

from local.ports import HOST, free_port
from local.process import Process
from service.pkg.shutdown_event import ShutdownEvent
from tests.browser.conftest import CHROMIUM, OPTIONS
from tests.browser.page import enter_key
from tests.kit.waiting import eventually

if TYPE_CHECKING:
    from playwright.sync_api import ViewportSize

FOLDER = Path(__file__).parents[2] / "docs" / "images"
WIDE: "ViewportSize" = {"width": 1280, "height": 860}
VARIANTS: "tuple[tuple[str, ViewportSize, Any], ...]" = (
    ("light", WIDE, "light"),
    ("dark", WIDE, "dark"),
    ("320", {"width": 320, "height": 720}, "light"),
    ("1920", {"width": 1920, "height": 1080}, "light"),
)
API_KEY = re.compile(r"^API key: (\S+)", re.MULTILINE)
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
        running_demo() as demo,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS) as browser,
    ):
        take(browser, demo)
    return 0


class Demo(NamedTuple):
    url: str
    key: str


@contextmanager
def running_demo() -> Iterator[Demo]:
    port = free_port()
    command = [sys.executable, "-m", "service", "demo", "--port", str(port), "--rate", "80", "--keys"]
    with TemporaryDirectory() as folder:
        log = Path(folder) / "demo.log"
        with Process("orders demo", command, log) as process:
            process.wait_until(lambda: API_KEY.search(log.read_text()) is not None, START_SECONDS, ShutdownEvent())
            key = API_KEY.search(log.read_text())
            assert key is not None
            yield Demo(f"http://{HOST}:{port}", key[1])


def take(browser: Browser, demo: Demo) -> None:
    """Take each view in both color schemes, and on a narrow and a wide screen, after a minute for the charts."""
    with visit(browser, demo, WIDE, "light") as page:
        eventually(lambda: page.evaluate("performance.now()") > MINUTE_MS, 2 * MINUTE_MS / 1_000)
        rows = page.get_by_role("group", name="Recent orders").get_by_role("row")
        order = rows.filter(has_text=LATIN_SCRIPT_CURRENCIES).get_by_role("link").first.get_attribute("href")
        views = {"orders": "#/", "order": order, "dead-letters": "#/dead-letters", "operations": "#/operations"}
        for name, fragment in views.items():
            for variant, size, scheme in VARIANTS:
                page.set_viewport_size(size)
                page.emulate_media(color_scheme=scheme)
                page.evaluate("fragment => { location.hash = fragment }", fragment)
                OPENED[name](page)
                page.screenshot(path=FOLDER / f"{name}-{variant}.png")


def open_dead_letter(page: Page) -> None:
    page.get_by_role("group", name="Dead letters").get_by_role("link").first.click()
    expect(page.get_by_role("article").get_by_role("group", name="Value")).to_be_visible()


OPENED: dict[str, Callable[[Page], None]] = {
    "orders": lambda page: expect(page.get_by_role("group", name="Recent orders")).to_be_visible(),
    "order": lambda page: expect(page.get_by_role("article")).to_be_visible(),
    "dead-letters": open_dead_letter,
    "operations": lambda page: expect(page.get_by_role("heading", name="Last ten minutes")).to_be_visible(),
}
"""Wait until a view is shown completely."""


@contextmanager
def visit(browser: Browser, demo: Demo, size: "ViewportSize", scheme: Any) -> Iterator[Page]:
    with browser.new_context(viewport=size, color_scheme=scheme, locale="en-GB", timezone_id="UTC") as context:
        page = context.new_page()
        page.set_default_timeout(MINUTE_MS)
        page.goto(demo.url)
        enter_key(page, demo.key)
        expect(page.get_by_role("group", name="Recent orders")).to_be_visible(timeout=MINUTE_MS)
        yield page


if __name__ == "__main__":
    sys.exit(main())
