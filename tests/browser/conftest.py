"""A real browser whose network ends at this machine, and what it tells while it visits the API."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Route, sync_playwright

if TYPE_CHECKING:
    from playwright.sync_api import Error

HERE = "127.0.0.1"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
REFUSALS = "Failed to load resource: "
"""How the browser reports every answer from 400 on; what the page makes of these is for its tests."""
NOT_RUN = "there is no chromium on the path"
OPTIONS = [
    f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {HERE}",
    *(["--no-sandbox"] if os.geteuid() == 0 else []),  # as root there is no other way
]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("browser")
    terminalreporter.line(f"Browser: {CHROMIUM}" if CHROMIUM else f"NOT RUN: BROWSER: {NOT_RUN.upper()}")


@dataclass  # not frozen, no slots: Playwright keeps its wrappers of the methods here
class Visit:
    """A page of the browser; `elsewhere` are the addresses it asked for beyond this machine, none of which it got."""

    page: Page
    elsewhere: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    """Warnings and errors of the console, among them what the page's own policy refused, and uncaught errors."""

    def keep_here(self, route: Route) -> None:
        if urlsplit(route.request.url).hostname == HERE:
            route.continue_()
        else:
            self.elsewhere.append(route.request.url)
            route.abort()

    def hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not message.text.startswith(REFUSALS):
            self.complaints.append(message.text)

    def barriers(self) -> list[Any]:
        """Return what axe finds in the page as it is now: rules, and the elements that break them."""
        self.page.evaluate(AXE.read_text())
        found: list[Any] = self.page.evaluate("async () => (await axe.run()).violations")
        return [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found]

    def fail(self, error: "Error") -> None:
        self.complaints.append(str(error))


@pytest.fixture(scope="module")  # no wider: while it runs, no other event loop can, and other tests have theirs
def browser() -> Iterator[Browser]:
    if not CHROMIUM:
        pytest.skip(NOT_RUN)
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS) as running:
        yield running


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    with browser.new_context(locale="en-US", timezone_id="Europe/Athens") as context:
        yield context


@pytest.fixture
def visit(context: BrowserContext) -> Visit:
    visit = Visit(context.new_page())
    context.route("**/*", visit.keep_here)
    visit.page.on("console", visit.hear)
    visit.page.on("pageerror", visit.fail)
    return visit


@pytest.fixture
def quiet(visit: Visit) -> Iterator[Visit]:
    """A visit that must ask nobody else for anything, and give the browser nothing to complain of."""
    yield visit
    assert (visit.elsewhere, visit.complaints) == ([], [])
