"""The page in a real browser, on a real API, Kafka and PostgreSQL."""

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.page import READS, UID, Store, enter_key, events, figure, look_up, look_up_status, rows
from tests.kit.processes import Service, Spawn
from tests.kit.stores import erasing
from tests.kit.waiting import eventually

if TYPE_CHECKING:
    from local.postgres import Postgres
    from tests.browser.conftest import Visit

MARKUP = "<img src=x onerror=alert(1)>"
MIN_EVENT_BYTES = 30
"""What the page needs to remember an event: a short string."""
EVENTS = 100_000
MAX_ROWS = 200


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
    for text in ("Test Testov", "Mascaras", "USD 18.17", "USD 3.17", "2021-11-26 06:22:19 UTC", "8:22:19 AM"):
        expect(order).to_contain_text(text.replace("USD ", "USD\N{NO-BREAK SPACE}").replace(" AM", "\u202fAM"))
    order.get_by_text("JSON document").click()
    expect(page).to_have_url(f"{shared_service.url}/#/orders/{UID}?tab=json")
    expect(order.get_by_text('"internal_signature": ""')).to_be_visible()
    order.get_by_text('"delivery":').click()
    expect(order.get_by_text("Test Testov")).to_be_hidden()
    order.get_by_role("button", name="Raw response").click()
    assert '"internal_signature":""' in order.locator("pre").inner_text().replace(": ", ":")
    page.reload()
    expect(order.get_by_text('"internal_signature": ""')).to_be_visible()


def test_the_history_shows_each_version_with_its_record(visit: "Visit", service: Service, store: Store) -> None:
    page = visit.page
    store(UID, entry="OTHER")
    page.goto(f"{service.url}/#/orders/{UID}")
    page.get_by_role("link", name="History").click()
    expect(page.get_by_role("status", name="History")).to_have_text("Stored, and replaced once.")
    versions = page.get_by_role("group", name="Versions").locator("tbody tr")
    expect(versions).to_have_count(2)
    expect(versions.first).to_contain_text("offset 1entry")
    expect(versions.last).to_contain_text("offset 0first version")
    page.get_by_role("link", name="Dead letters of this order").click()
    expect(page).to_have_url(f"{service.url}/#/dead-letters?order={UID}")


def test_a_deep_link_opens_an_order_and_back_returns_to_the_list(visit: "Visit", shared_service: Service) -> None:
    page = visit.page
    page.goto(shared_service.url)
    expect(page.get_by_role("status", name="Outages")).not_to_have_text("")  # it moves the list
    page.get_by_role("link", name=UID).click()
    expect(page.get_by_role("heading", name=UID)).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name=UID)).to_have_count(0)
    expect(page.get_by_role("heading", name="Recent orders")).to_be_visible()
    page.goto(f"{shared_service.url}/#/orders/{UID}")
    expect(page.get_by_role("heading", name=UID)).to_be_visible()


def test_an_order_that_is_not_cached_is_a_miss(visit: "Visit", service: Service, store: Store) -> None:
    page = visit.page
    store("stored-later")
    page.goto(f"{service.url}/#/orders/stored-later")
    expect(look_up_status(page)).to_have_text(re.compile("^Found in the database in "))


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
def test_a_link_to_no_order_has_a_reason(visit: "Visit", shared_service: Service, uid: str, sentence: str) -> None:
    visit.page.goto(f"{shared_service.url}/#/orders/{uid}")
    expect(look_up_status(visit.page)).to_have_text(sentence)
    expect(visit.page.get_by_role("article")).to_have_count(0)


def test_an_erased_order_is_told_from_an_unknown_one(
    visit: "Visit", service: Service, store: Store, database: str
) -> None:
    store("erased")
    with erasing(database) as erasures:
        erasures.erase(["erased"])
    visit.page.goto(f"{service.url}/#/orders/erased")
    expect(look_up_status(visit.page)).to_have_text(re.compile(r"^Not stored: the order was erased at 20\S+Z\.$"))


def test_a_network_outage_is_shown_and_a_retry_works(visit: "Visit", context: BrowserContext, service: Service) -> None:
    page = visit.page
    page.goto(service.url)
    expect(rows(page)).to_have_count(1)
    context.set_offline(True)
    look_up(page, UID)
    expect(look_up_status(page)).to_have_text("Cannot reach the service.")
    expect(figure(page, "Stored in total")).to_contain_text("stale", timeout=15_000)
    expect(page.get_by_role("status", name="Outages")).to_contain_text("Cannot reach the service.")
    context.set_offline(False)
    expect(look_up_status(page)).to_have_text(re.compile("^Found in memory"), timeout=15_000)
    expect(page.get_by_role("status", name="Outages")).not_to_contain_text("Cannot reach", timeout=15_000)


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
    page.get_by_role("button", name="Copy as curl").click()
    expect(page.get_by_role("status", name="Copy as curl")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == f"curl -sS '{shared_service.url}/orders/{UID}'"
    page.get_by_text("JSON document").click()
    page.get_by_role("button", name="Raw response").click()
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
    page.reload()
    expect(rows(page)).to_have_count(6)
    newer.click()
    expect(rows(page).first).to_contain_text("order-24")
    page.go_back()
    expect(rows(page)).to_have_count(6)
    pages.get_by_role("button", name="First").click()
    expect(rows(page).first).to_contain_text("order-44")


def test_an_empty_list_says_what_to_do_and_shows_the_first_order_by_itself(
    visit: "Visit", service: Service, store: Store
) -> None:
    page = visit.page
    page.goto(f"{service.url}/#/?customer_id=ann")
    expect(page.get_by_role("status", name="Recent orders")).to_have_text("No orders match.")
    expect(page.get_by_role("link", name="Show all orders")).to_be_visible()
    store("of-ann", customer_id="ann")
    expect(rows(page)).to_have_count(1, timeout=15_000)


def test_new_orders_are_counted_instead_of_moving_the_list(visit: "Visit", service: Service, store: Store) -> None:
    page = visit.page
    page.goto(service.url)
    expect(page.get_by_role("status", name="Connection")).to_have_text("Connected")
    expect(rows(page)).to_have_count(1)
    store("later", "too", date_created=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
    page.get_by_role("button", name="Show 2 new").click()
    expect(rows(page)).to_have_count(3)
    expect(rows(page).first.locator("time")).to_have_count(2)
    expect(page.get_by_role("button", name=re.compile("^Show"))).to_have_count(0)


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
    expect(page.get_by_text("2 new", exact=True)).to_be_visible()
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
    assert _heap_bytes(page) < first + EVENTS * MIN_EVENT_BYTES  # the next ones may be arriving


def _heap_bytes(page: Page) -> float:
    """Return the size of the JavaScript heap after a garbage collection."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    session.send("Performance.enable")
    metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    return float(metrics["JSHeapUsedSize"])


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
