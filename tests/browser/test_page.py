"""The page in a real browser, on a real API, Kafka and PostgreSQL."""

import gzip
import os
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from local.ports import HOST, free_port, is_free
from local.process import Process
from service.handler.http.routes.page import page_folder
from service.pkg.shutdown_event import ShutdownEvent
from tests.kit import servers, stores, temporary
from tests.kit.factories import SAMPLE, versioned
from tests.kit.harness import Harness, Sent
from tests.kit.processes import Service, Spawn, started
from tests.kit.stores import writing
from tests.kit.waiting import eventually

if TYPE_CHECKING:
    from local.broker import Broker
    from local.postgres import Postgres
    from tests.browser.conftest import Visit

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
UID = SAMPLE["order_uid"]
MARKUP = "<img src=x onerror=alert(1)>"
READS, READS_ALL = "r" * 24, "a" * 24
MAX_SCRIPT_BYTES = 100_000
MAX_FIRST_PAINT_MS = 1_000
EVENTS = 100_000
MAX_ROWS = 200

Store = Callable[..., object]


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    """`store("a", "b", customer_id="c")` stores orders with these ids."""
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


@pytest.fixture
def dev_server(service: Service, tmp_path: Path) -> Iterator[str]:
    """The URL of the page served by `npm run dev`, in front of the API."""
    port = free_port()
    command = [str(BIN / "npm"), "--prefix", str(ROOT / "web"), "run", "dev", "--", "--host", HOST, "--port", str(port)]
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "ORDERS_API": service.url}
    with Process("vite", command, tmp_path / "vite.log", environment=environment) as vite:
        vite.wait_until(lambda: not is_free(port), 30, ShutdownEvent())
        yield f"http://{HOST}:{port}"


def look_up(page: Page, uid: str) -> None:
    page.get_by_label("Order UID").fill(uid)
    page.get_by_label("Order UID").press("Enter")


def look_up_status(page: Page) -> Locator:
    return page.get_by_role("status", name="Look-up")


def figure(page: Page, name: str) -> Locator:
    return page.get_by_label("System").locator("div", has=page.locator(f"dt:text-is('{name}')")).locator("dd")


def rows(page: Page) -> Locator:
    return page.get_by_role("group", name="Recent orders").locator("tbody tr")


def events(page: Page) -> Locator:
    return page.get_by_role("group", name="Events").get_by_role("listitem")


def enter_key(page: Page, key: str) -> None:
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Use this key").click()


# Looking up an order


def test_enter_looks_up_an_order_and_shows_all_its_fields(visit: "Visit", shared_service: Service) -> None:
    page = visit.page
    page.goto(shared_service.url)
    look_up(page, f"  {UID} ")
    expect(look_up_status(page)).to_have_text(re.compile(r"^Found in memory in [\d.]+ ms\.$"))
    expect(page.get_by_role("heading", name=UID)).to_be_visible()
    expect(page).to_have_url(f"{shared_service.url}/#/orders/{UID}")
    expect(page).to_have_title(f"{UID} · Orders")
    order = page.get_by_role("article")
    expect(order.locator(".badge")).to_have_text("hit")
    for text in ("Test Testov", "Mascaras", "USD 18.17", "USD 3.17", "2021-11-26 06:22:19 UTC", "8:22:19 AM"):
        expect(order).to_contain_text(text.replace("USD ", "USD\N{NO-BREAK SPACE}").replace(" AM", "\u202fAM"))
    order.get_by_text("JSON document").click()
    assert '"internal_signature":""' in order.locator("pre").inner_text().replace(": ", ":")


def test_a_deep_link_opens_an_order_and_back_returns_to_the_list(visit: "Visit", shared_service: Service) -> None:
    page = visit.page
    page.goto(shared_service.url)
    page.get_by_role("link", name=UID).click()
    expect(page.get_by_role("heading", name=UID)).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name=UID)).to_have_count(0)
    expect(page.get_by_role("heading", name="Recent orders")).to_be_visible()
    page.goto(f"{shared_service.url}/#/orders/{UID}")
    expect(page.get_by_role("heading", name=UID)).to_be_visible()


def test_an_order_that_is_not_cached_is_a_miss(visit: "Visit", service: Service, store: Store) -> None:
    page = visit.page
    page.goto(service.url)
    store("stored-later")
    look_up(page, "stored-later")
    expect(look_up_status(page)).to_have_text(re.compile("^Found in the database in "))
    expect(page.get_by_role("article").locator(".badge")).to_have_text("miss")


def test_markup_in_an_order_is_shown_as_text(visit: "Visit", service: Service, store: Store) -> None:
    store("hostile", delivery={"name": MARKUP}, track_number=MARKUP)
    visit.page.goto(f"{service.url}/#/orders/hostile")
    expect(visit.page.get_by_role("article")).to_contain_text(MARKUP)


def test_the_largest_amounts_keep_all_digits(visit: "Visit", service: Service, store: Store) -> None:
    store("dear", payment={"amount": 2**63 - 1, "currency": "KWD"})
    visit.page.goto(f"{service.url}/#/orders/dear")
    amount = "KWD\N{NO-BREAK SPACE}9,223,372,036,854,775.807"
    expect(visit.page.get_by_role("article")).to_contain_text(amount)


@pytest.mark.parametrize(
    ("uid", "sentence"),
    [
        ("unknown", "No order with this UID."),
        ("not an id", "An order UID has 1 to 64 letters, digits, hyphens or underscores."),
        ("x" * 65, "An order UID has 1 to 64 letters, digits, hyphens or underscores."),
    ],
)
def test_a_failed_lookup_has_a_reason(visit: "Visit", shared_service: Service, uid: str, sentence: str) -> None:
    visit.page.goto(shared_service.url)
    look_up(visit.page, uid)
    expect(look_up_status(visit.page)).to_have_text(sentence)
    expect(visit.page.get_by_role("article")).to_have_count(0)


def test_a_network_outage_is_shown_and_a_retry_works(visit: "Visit", context: BrowserContext, service: Service) -> None:
    page = visit.page
    page.goto(service.url)
    expect(rows(page)).to_have_count(1)
    context.set_offline(True)
    look_up(page, UID)
    expect(look_up_status(page)).to_have_text("Cannot reach the service.")
    expect(figure(page, "Stored in total")).to_contain_text("stale", timeout=15_000)
    context.set_offline(False)
    page.get_by_role("button", name="Look up").click()
    expect(look_up_status(page)).to_have_text(re.compile("^Found in memory"))


def test_an_unreachable_database_is_not_reported_as_an_unknown_order(
    visit: "Visit", spawn: Spawn, settings: dict[str, str], own_postgres: "Postgres"
) -> None:
    service = spawn("api", settings=settings | {"ORDERS_POSTGRES__DSN": own_postgres.dsn}).ready()
    visit.page.goto(service.url)
    own_postgres.stop()
    look_up(visit.page, "unknown")
    unavailable = re.compile(r"^Temporarily unavailable: .*PostgreSQL.*\. Try again in 2 s\.$")
    expect(look_up_status(visit.page)).to_have_text(unavailable, timeout=15_000)


def test_document_and_link_are_copied(visit: "Visit", context: BrowserContext, shared_service: Service) -> None:
    page = visit.page
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{shared_service.url}/#/orders/{UID}")
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("status", name="Copy link")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == f"{shared_service.url}/#/orders/{UID}"
    page.get_by_text("JSON document").click()
    page.get_by_role("button", name="Copy JSON").click()
    expect(page.get_by_role("status", name="Copy JSON")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("article pre").inner_text()


# Recent orders, and the live feed


def test_recent_orders_are_paged_in_both_directions(visit: "Visit", service: Service, store: Store) -> None:
    page = visit.page
    store(*(f"order-{number:02}" for number in range(45)), date_created="2025-01-01T00:00:00Z")
    page.goto(service.url)
    expect(rows(page)).to_have_count(20)
    expect(rows(page).first).to_contain_text("order-44")
    pages = page.get_by_role("navigation", name="Pages of recent orders")
    older, newer = pages.get_by_role("button", name="Older"), pages.get_by_role("button", name="Newer")
    expect(newer).to_be_disabled()
    older.click()
    expect(rows(page).first).to_contain_text("order-24")
    older.click()
    expect(rows(page)).to_have_count(6)
    expect(older).to_be_disabled()
    newer.click()
    expect(rows(page).first).to_contain_text("order-24")
    pages.get_by_role("button", name="First").click()
    expect(rows(page).first).to_contain_text("order-44")


def test_recent_orders_are_filtered_and_refreshed(visit: "Visit", service: Service, store: Store) -> None:
    page = visit.page
    store("of-another", customer_id="another", track_number="TRACK")
    page.goto(service.url)
    expect(rows(page)).to_have_count(2)
    page.get_by_label("Customer id").fill("another")
    page.get_by_role("button", name="Filter").click()
    expect(rows(page)).to_have_count(1)
    store("of-another-too", customer_id="another")
    page.get_by_role("button", name="Refresh").click()
    expect(rows(page)).to_have_count(2)
    page.get_by_label("Track number").fill("TRACK")
    page.get_by_label("Track number").press("Enter")
    expect(rows(page)).to_have_count(1)
    page.get_by_label("Track number").fill("NONE")
    page.get_by_label("Track number").press("Enter")
    expect(page.get_by_role("status", name="Recent orders")).to_have_text("No orders match.")
    page.get_by_role("button", name="Clear").click()
    expect(rows(page)).to_have_count(3)
    store("later", date_created=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
    expect(rows(page).first).to_contain_text("later", timeout=15_000)
    expect(rows(page).first.locator("time")).to_have_count(2)


def test_stored_orders_appear_in_the_feed_except_while_it_is_paused(
    visit: "Visit", service: Service, store: Store
) -> None:
    page = visit.page
    page.goto(service.url)
    expect(page.get_by_role("status", name="Connection")).to_have_text("Connected")
    store("first")
    expect(events(page)).to_have_text(re.compile("stored first$"))
    page.get_by_role("button", name="Pause").click()
    store("second", "third")
    expect(page.get_by_text("2 new")).to_be_visible()
    expect(events(page)).to_have_count(1)
    page.get_by_role("button", name="Resume").click()
    expect(events(page)).to_have_count(3)
    expect(page.locator("figure canvas")).to_be_visible()
    numbers = iter(range(10**6))

    def is_counted() -> bool:
        store(f"counted-{next(numbers)}")
        return page.get_by_text(re.compile(r"^now \d+/s, peak [1-9]\d*/s in two minutes$")).is_visible()

    eventually(is_counted)  # only complete seconds are counted


def test_the_feed_reconnects_after_a_restart_and_marks_a_gap(
    visit: "Visit", service: Service, spawn: Spawn, settings: dict[str, str], store: Store
) -> None:
    page = visit.page
    page.goto(service.url)
    expect(page.get_by_role("status", name="Connection")).to_have_text("Connected")
    store("before")
    expect(events(page)).to_have_count(1)
    service.kill()
    expect(page.get_by_role("status", name="Connection")).to_have_text(re.compile(r"^Reconnecting in \d+ s$"))
    spawn("api", settings=settings | {"ORDERS_HTTP__PORT": str(service.http_port)}).ready()
    expect(page.get_by_role("status", name="Connection")).to_have_text("Connected", timeout=30_000)
    expect(events(page).first).to_contain_text("events may be missing here")
    store("after")
    expect(events(page).first).to_contain_text("stored after")


def test_a_hundred_thousand_events_do_not_grow_the_pages_memory(visit: "Visit", service: Service) -> None:
    page = visit.page
    body = "".join(f'id: 00000000-{n}\nevent: stored\ndata: {{"order_uid":"o{n}"}}\n\n' for n in range(1, EVENTS + 1))
    page.route("**/events", lambda route: route.fulfill(body=body, content_type="text/event-stream"))
    page.goto(service.url)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text(re.compile(rf"^{EVENTS:,} new$"))).to_be_visible(timeout=30_000)
    page.get_by_role("button", name="Resume").click()
    expect(events(page)).to_have_count(MAX_ROWS)
    first = _heap_bytes(page)
    expect(events(page).first).to_contain_text(f"o{EVENTS}")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text(re.compile(r"^[1-9]\d\d,\d{3} new$"))).to_be_visible(timeout=60_000)  # all of them again
    page.get_by_role("button", name="Resume").click()
    expect(events(page)).to_have_count(MAX_ROWS)
    assert _heap_bytes(page) < first * 1.2 + 2**20


def _heap_bytes(page: Page) -> float:
    """Return the size of the JavaScript heap after a garbage collection."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    session.send("Performance.enable")
    metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    return float(metrics["JSHeapUsedSize"])


# The system


def test_figures_are_shown(visit: "Visit", service: Service) -> None:
    page = visit.page
    page.goto(service.url)
    look_up(page, UID)
    expect(figure(page, "Readiness")).to_contain_text("ready")
    expect(figure(page, "Warm-up")).to_contain_text("1 orders in")
    expect(figure(page, "Lag")).to_contain_text("0", timeout=15_000)
    expect(figure(page, "Dead letters")).to_contain_text("0")
    expect(figure(page, "Cache hit ratio")).to_contain_text("100%", timeout=15_000)


def test_without_kafka_its_figures_are_missing_with_the_reason(
    visit: "Visit", spawn: Spawn, settings: dict[str, str]
) -> None:
    service = spawn("api", settings=settings | {"ORDERS_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9"}).ready()
    visit.page.goto(service.url)
    expect(figure(visit.page, "Lag")).to_have_text("\N{EN DASH} (Kafka is unreachable)", timeout=15_000)
    expect(figure(visit.page, "Readiness")).to_contain_text("ready")


def test_an_outage_of_postgresql_is_shown_with_what_still_works_until_it_recovers(
    visit: "Visit", spawn: Spawn, settings: dict[str, str], own_postgres: "Postgres"
) -> None:
    page = visit.page
    stores.store(own_postgres.dsn, versioned(1, order_uid=UID))
    service = spawn("api", settings=settings | {"ORDERS_POSTGRES__DSN": own_postgres.dsn}).ready()
    page.goto(service.url)
    outages, connection = page.get_by_role("status", name="Outages"), page.get_by_role("status", name="Connection")
    expect(connection).to_have_text("Connected")
    expect(outages).to_have_text("")
    own_postgres.stop()
    expect(outages).to_have_text(
        re.compile(
            r"^PostgreSQL has been unreachable since \d+:\d\d:\d\d.[AP]M: only cached orders are served.*Kafka\.$"
        ),
        timeout=15_000,
    )
    expect(connection).to_have_text("Connected, but no events arrive: PostgreSQL is unreachable.")
    expect(connection).to_have_class("bad")
    expect(figure(page, "Readiness")).to_contain_text("ready, but limited", timeout=10_000)
    expect(page.get_by_role("status", name="Recent orders")).to_contain_text("Temporarily unavailable", timeout=10_000)
    expect(rows(page)).to_have_count(1)
    expect(figure(page, "Stored/s")).to_have_text("\N{EN DASH} (No notifications from PostgreSQL)")
    look_up(page, UID)
    expect(look_up_status(page)).to_have_text(re.compile(r"^Found in memory"))
    assert visit.axe_violations() == []
    page.go_back()
    own_postgres.start()
    expect(outages).to_have_text("", timeout=30_000)
    expect(connection).to_have_text("Connected")
    expect(connection).to_have_class("good")
    expect(events(page).first).to_contain_text("events may be missing here")
    expect(figure(page, "Readiness")).to_have_text("ready (All checks pass)", timeout=10_000)


def test_an_outage_of_kafka_is_shown_until_it_recovers(
    visit: "Visit", spawn: Spawn, settings: dict[str, str], own_kafka: "Broker"
) -> None:
    page = visit.page
    with temporary.topic(own_kafka.bootstrap_servers) as topic:
        here = {"ORDERS_KAFKA__BOOTSTRAP_SERVERS": own_kafka.bootstrap_servers, "ORDERS_KAFKA__TOPIC": topic}
        service = spawn("api", settings=settings | here).ready()
        page.goto(service.url)
        outages, connection = page.get_by_role("status", name="Outages"), page.get_by_role("status", name="Connection")
        expect(figure(page, "Lag")).to_have_text("0", timeout=15_000)
        expect(connection).to_have_class("good")
        own_kafka.kill()
        expect(outages).to_have_text(re.compile("^Kafka has been unreachable since .*: stored orders"), timeout=20_000)
        expect(connection).to_have_text("Connected, but no events arrive: Kafka is unreachable.")
        own_kafka.start()
        expect(outages).to_have_text("", timeout=30_000)
        expect(connection).to_have_text("Connected")


# Keys


def test_the_page_asks_for_a_key_and_keeps_it_for_the_session(
    visit: "Visit", context: BrowserContext, service_with_keys: Service
) -> None:
    page = visit.page
    page.goto(f"{service_with_keys.url}/#/orders/{UID}")
    expect(look_up_status(page)).to_have_text("An API key is required.")
    expect(page.get_by_role("alert")).to_have_text("This API requires a key.")
    enter_key(page, "wrong-wrong-wrong-wrong")
    expect(page.get_by_role("alert")).to_have_text("Unknown API key.")
    enter_key(page, READS)
    expect(page.get_by_role("heading", name=UID)).to_be_visible()
    expect(page.get_by_label("API key")).to_have_count(0)
    page.reload()
    expect(page.get_by_role("heading", name=UID)).to_be_visible()
    assert READS not in page.url
    assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
    other = context.new_page()
    other.goto(service_with_keys.url)
    expect(other.get_by_label("API key")).to_be_visible()
    other.close()
    page.get_by_role("button", name="Forget the key").click()
    expect(page.get_by_label("API key")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0


def test_with_a_key_all_views_and_the_feed_work(visit: "Visit", service_with_keys: Service, store: Store) -> None:
    page = visit.page
    page.goto(service_with_keys.url)
    expect(page.get_by_role("status", name="Connection")).to_have_text("Unauthorized: an API key is required.")
    enter_key(page, READS)
    expect(page.get_by_role("status", name="Connection")).to_have_text("Connected")
    expect(rows(page)).to_have_count(1)
    store("fed")
    expect(events(page)).to_have_text(re.compile("stored fed$"))


# Dead letters


def dead_letters(page: Page) -> Locator:
    return page.locator("ol.cards > li")


def test_without_keys_dead_letters_are_disabled(visit: "Visit", shared_service: Service) -> None:
    visit.page.goto(f"{shared_service.url}/#/dead-letters")
    expect(visit.page.get_by_role("status", name="Dead letters")).to_have_text(
        "Dead letters contain personal data: configure API keys to enable this view."
    )


def test_a_key_without_the_scope_gets_the_reason(visit: "Visit", service_with_keys: Service) -> None:
    visit.page.goto(f"{service_with_keys.url}/#/dead-letters")
    enter_key(visit.page, READS)
    expect(visit.page.get_by_role("status", name="Dead letters")).to_have_text(
        "The API key lacks the scope dead-letters."
    )


def test_dead_letters_are_shown_as_text_or_hex_and_never_as_markup(
    visit: "Visit", context: BrowserContext, service_with_keys: Service, harness: Harness
) -> None:
    page = visit.page
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    harness.produce(
        Sent(b'{"order_uid": "<b>bold</b>"}', b"key\x1b[2J"), Sent(MARKUP.encode()), Sent(b"\xff\x00\xfe" * 9_000)
    )
    harness.consumer()
    eventually(lambda: len(harness.dead_letters()) == 3)
    page.goto(f"{service_with_keys.url}/#/dead-letters")
    enter_key(page, READS_ALL)
    expect(dead_letters(page)).to_have_count(3)
    invalid, markup, binary = (
        dead_letters(page).filter(has_text=f"{harness.topic}, partition 0, offset {offset}") for offset in range(3)
    )
    expect(binary.locator(".badge")).to_have_text("undecodable")
    binary.get_by_text("Value", exact=True).click()
    expect(binary).to_contain_text("first 16 KiB of 27,000 bytes")
    expect(binary.locator("pre")).to_contain_text("ff 00 fe")
    markup.get_by_text("Value", exact=True).click()
    expect(markup.locator("pre")).to_have_text(MARKUP)
    markup.get_by_role("button", name="Show as hex").click()
    expect(markup.locator("pre")).to_contain_text("3c 69 6d 67")
    invalid.get_by_text("Key", exact=True).click()
    expect(invalid.locator("pre").first).to_contain_text("key⟨U+001B⟩[2J")
    invalid.get_by_role("button", name="Copy show command").click()
    expect(invalid.get_by_role("status", name="Copy show command")).to_have_text("Copied")
    assert re.fullmatch(r"orders dlq show \d \d --value", page.evaluate("navigator.clipboard.readText()"))
    invalid.get_by_role("button", name="Copy replay command").click()
    expect(invalid.get_by_role("status", name="Copy replay command")).to_have_text("Copied")
    place = re.search(r"Partition (\d+), offset (\d+)", invalid.get_by_role("heading").inner_text())
    assert place is not None
    assert page.evaluate("navigator.clipboard.readText()") == f"orders dlq replay {place[1]} {place[2]}"
    page.get_by_label("Reason").select_option("invalid")
    expect(dead_letters(page)).to_have_count(1)
    page.get_by_label("Reason").select_option("rejected")
    expect(page.get_by_role("status", name="Dead letters")).to_have_text("No dead letters match.")
    assert visit.axe_violations() == []


# Accessibility and size


schemes = pytest.mark.parametrize("scheme", ["light", "dark"])


@schemes
@pytest.mark.parametrize("path", [f"#/orders/{UID}", "#/orders/unknown", "#/dead-letters", "#/nothing"])
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
    page.keyboard.press("Tab")
    expect(page.get_by_label("Order UID")).to_be_focused()
    page.keyboard.type(UID)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=UID)).to_be_visible()
    page.get_by_label("Order UID").focus()
    seen = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.textContent.trim() || document.activeElement.ariaLabel"))
    assert {"Link to this order", "Copy link", "JSON document"} <= seen


@pytest.mark.parametrize("path", ["", f"#/orders/{UID}", "#/dead-letters"])
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
    visit.page.goto(f"{dev_server}/#/orders/{UID}")
    expect(visit.page.get_by_role("heading", name=UID)).to_be_visible(timeout=30_000)
    visit.page.get_by_role("link", name="Orders").click()
    expect(visit.page.get_by_role("status", name="Connection")).to_have_text("Connected")
