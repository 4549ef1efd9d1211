"""A real browser without access to other machines, and the APIs that it visits."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Route, sync_playwright

from tests.browser.page import READS, READS_ALL, UID, Store
from tests.kit import servers, stores, temporary
from tests.kit.factories import versioned
from tests.kit.processes import Service, Spawn, started
from tests.kit.stores import writing

if TYPE_CHECKING:
    from playwright.sync_api import Error

LOCALHOST = "127.0.0.1"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "service" / "handler" / "http" / "static" / "page" / "index.html"
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
FAILED_REQUEST = "Failed to load resource: "
"""The console message for every response with a status from 400. The page's tests check how it handles them."""
NOT_RUN = "chromium not found on PATH"
OPTIONS = [
    f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {LOCALHOST}",
    *(["--no-sandbox"] if os.geteuid() == 0 else []),  # Chromium refuses to run as root otherwise
]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("browser")
    terminalreporter.line(f"Browser: {CHROMIUM}" if CHROMIUM else f"NOT RUN: BROWSER: {NOT_RUN.upper()}")


@dataclass  # not frozen, no slots: Playwright keeps its wrappers of the methods here
class Visit:
    """A browser page. `external` are the URLs of other machines that it requested; they are blocked."""

    page: Page
    external: list[str] = field(default_factory=list)
    console_problems: list[str] = field(default_factory=list)
    """Warnings and errors of the console, including Content-Security-Policy violations, and uncaught errors."""

    def block_external(self, route: Route) -> None:
        if urlsplit(route.request.url).hostname == LOCALHOST:
            route.continue_()
        else:
            self.external.append(route.request.url)
            route.abort()

    def on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not message.text.startswith(FAILED_REQUEST):
            self.console_problems.append(message.text)

    def axe_violations(self) -> list[Any]:
        """Return the accessibility rules that the page violates, and the elements that violate them."""
        self.page.evaluate(AXE.read_text())
        found: list[Any] = self.page.evaluate("async () => (await axe.run()).violations")
        return [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found]

    def on_page_error(self, error: "Error") -> None:
        self.console_problems.append(str(error))


@pytest.fixture(scope="module")  # Playwright's event loop blocks those of other tests
def browser() -> Iterator[Browser]:
    if not CHROMIUM:
        pytest.skip(NOT_RUN)
    if not PAGE.is_file():
        pytest.fail("the page is not built: run `make web`")
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS) as running:
        yield running


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    with browser.new_context(locale="en-US", timezone_id="Europe/Athens") as context:
        yield context


@pytest.fixture
def unchecked_visit(context: BrowserContext) -> Visit:
    visit = Visit(context.new_page())
    context.route("**/*", visit.block_external)
    visit.page.on("console", visit.on_console)
    visit.page.on("pageerror", visit.on_page_error)
    return visit


@pytest.fixture
def visit(unchecked_visit: Visit) -> Iterator[Visit]:
    """A page that must not request anything from other machines or cause console problems."""
    yield unchecked_visit
    assert (unchecked_visit.external, unchecked_visit.console_problems) == ([], [])


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    """`store("a", "b", customer_id="c")` stores orders with these uids."""
    offsets = iter(range(10**6))
    with writing(database) as writer:
        yield lambda *uids, **overrides: writer.store(
            [versioned(next(offsets), order_uid=uid, **overrides) for uid in uids]
        )


@pytest.fixture
def service(spawn: Spawn, settings: dict[str, str], store: Store) -> Service:
    store(UID)
    return spawn("api", settings=settings).ready()


@pytest.fixture(scope="module")
def shared_service(
    kafka_server: servers.Kafka,
    postgres_server: servers.Postgres,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    """An API with one order, shared by tests that only read: starting one takes longer than most of these tests."""
    with (
        temporary.topic(kafka_server.bootstrap_servers) as topic,
        temporary.database(postgres_server.dsn, migrated_template) as (_, dsn),
    ):
        stores.store(dsn, versioned(0, order_uid=UID))
        log = tmp_path_factory.mktemp("shared") / "api.log"
        with started(("api",), servers.settings(kafka_server, topic, dsn), log) as service:
            yield service.ready()


@pytest.fixture
def service_with_keys(spawn: Spawn, settings: dict[str, str], store: Store, tmp_path: Path) -> Service:
    """An API with keys: READS for orders, READS_ALL for dead letters too."""
    store(UID)
    keys = tmp_path / "keys"
    keys.write_text(f"read {READS}\nread,dead-letters {READS_ALL}\n")
    return spawn("api", settings=settings | {"ORDERS_AUTH__KEYS_FILE": str(keys)}).ready()
