"""The page's figures, and what it shows during outages."""

import re
from typing import TYPE_CHECKING

from playwright.sync_api import Locator, Page, expect

from tests.browser.page import UID, events, figure, look_up, look_up_status, rows
from tests.kit import stores, temporary
from tests.kit.factories import versioned
from tests.kit.processes import Service, Spawn

if TYPE_CHECKING:
    from local.broker import Broker
    from local.postgres import Postgres
    from tests.browser.conftest import Visit


def outage_of(page: Page, server: str) -> Locator:
    """Return its message in the banner, which also says that no consumer is running."""
    return page.get_by_role("status", name="Outages").locator("p").filter(has_text=re.compile(f"^{server} "))


def test_figures_are_shown(visit: "Visit", service: Service) -> None:
    page = visit.page
    page.goto(service.url)
    look_up(page, UID)
    expect(figure(page, "Readiness")).to_contain_text("ready")
    expect(figure(page, "Warm-up")).to_contain_text("1 orders in")
    expect(figure(page, "Lag")).to_contain_text("0", timeout=15_000)
    expect(figure(page, "Dead letters")).to_contain_text("0")
    expect(figure(page, "Cache hit ratio")).to_contain_text("100%", timeout=15_000)


def test_operations_show_trends_dependencies_and_the_process(visit: "Visit", service: Service) -> None:
    page = visit.page
    page.goto(f"{service.url}/#/operations")
    lag = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="Lag, messages"))
    expect(lag).to_contain_text("0 to 0.", timeout=30_000)
    expect(lag.locator("path")).to_have_attribute("d", re.compile(r"^M[\d.]+ 40L"), timeout=30_000)
    for name in ("PostgreSQL", "Notifications", "Kafka"):
        row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=name))
        expect(row).to_contain_text("reachable", timeout=30_000)
    expect(page.get_by_role("region", name="This API process")).to_contain_text("Cached orders1")
    assert visit.axe_violations() == []


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
    outage, connection = outage_of(page, "PostgreSQL"), page.get_by_role("status", name="Connection")
    expect(connection).to_have_text("Connected")
    expect(outage).to_have_count(0)
    own_postgres.stop()
    expect(outage).to_have_text(
        re.compile(
            r"^PostgreSQL has been unreachable since \d+:\d\d:\d\d.[AP]M: only cached orders are served.*Kafka\.$"
        ),
        timeout=15_000,
    )
    expect(connection).to_have_text("Connected, but no events arrive: PostgreSQL is unreachable.")
    expect(connection).to_have_class("bad")
    expect(figure(page, "Readiness")).to_contain_text("ready, but limited", timeout=10_000)
    page.get_by_role("button", name="Refresh").click()
    expect(page.get_by_role("status", name="Recent orders")).to_contain_text("Temporarily unavailable", timeout=10_000)
    expect(rows(page)).to_have_count(1)
    expect(figure(page, "Stored/s")).to_have_text("\N{EN DASH} (No notifications from PostgreSQL)")
    look_up(page, UID)
    expect(look_up_status(page)).to_have_text(re.compile(r"^Found in memory"))
    assert visit.axe_violations() == []
    page.go_back()
    own_postgres.start()
    expect(outage).to_have_count(0, timeout=30_000)
    expect(page.get_by_role("status", name="Recent orders")).to_have_text("", timeout=15_000)
    expect(rows(page)).to_have_count(1)
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
        outage, connection = outage_of(page, "Kafka"), page.get_by_role("status", name="Connection")
        expect(figure(page, "Lag")).to_have_text("0", timeout=15_000)
        expect(connection).to_have_class("good")
        own_kafka.kill()
        expect(outage).to_have_text(re.compile("^Kafka has been unreachable since .*: stored orders"), timeout=20_000)
        expect(connection).to_have_text("Connected, but no events arrive: Kafka is unreachable.")
        own_kafka.start()
        expect(outage).to_have_count(0, timeout=30_000)
        expect(connection).to_have_text("Connected")
