"""The search for orders."""

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.page import UID, Store, look_up, look_up_status, rows, search
from tests.kit.processes import Service

if TYPE_CHECKING:
    from tests.browser.conftest import Visit


def test_results_appear_while_typing_and_are_chosen_by_keyboard(visit: "Visit", service: Service, store: Store) -> None:
    page = visit.page
    store("one", "two", customer_id="ann", track_number="TRACK")
    store("three", customer_id="TRACK")
    page.goto(service.url)
    page.keyboard.press("/")
    search(page).press_sequentially("TRACK")
    options = page.get_by_role("option")
    expect(options).to_have_text([re.compile("2 orders with this track number"), re.compile("^three")])
    assert visit.axe_violations() == []
    search(page).press("Escape")
    expect(options).to_have_count(0)
    search(page).press("End")
    search(page).press("Backspace")
    search(page).press_sequentially("K")
    expect(options).to_have_count(2)
    search(page).press("ArrowDown")
    expect(options.first).to_have_attribute("aria-selected", "true")
    search(page).press("Enter")
    expect(page).to_have_url(f"{service.url}/#/?track_number=TRACK")
    expect(rows(page)).to_have_count(2)
    page.reload()
    expect(rows(page)).to_have_count(2)
    page.get_by_role("link", name="Remove the filter by track number").click()
    expect(rows(page)).to_have_count(4)
    page.go_back()
    expect(rows(page)).to_have_count(2)


def test_a_customers_orders_are_found_by_the_customer_id(visit: "Visit", service: Service, store: Store) -> None:
    page = visit.page
    store("one", "two", customer_id="ann")
    page.goto(service.url)
    look_up(page, "ann")
    expect(page).to_have_url(f"{service.url}/#/?customer_id=ann")
    expect(rows(page)).to_have_count(2)
    rows(page).filter(has_text="one").get_by_role("link").click()
    page.get_by_role("link", name="all orders of the customer").click()
    expect(rows(page)).to_have_count(2)


@pytest.mark.parametrize("text", ["unknown", "not an id", "x" * 65])
def test_a_search_without_a_match_says_so(visit: "Visit", shared_service: Service, text: str) -> None:
    visit.page.goto(shared_service.url)
    look_up(visit.page, text)
    expect(look_up_status(visit.page)).to_have_text(re.compile("^No order UID, track number or customer id equals"))
    assert visit.axe_violations() == []


def test_back_from_the_only_match_leads_to_the_page_before_the_search(visit: "Visit", shared_service: Service) -> None:
    page = visit.page
    page.goto(f"{shared_service.url}/#/dead-letters")
    look_up(page, UID)
    expect(page.get_by_role("heading", name=UID, exact=True)).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Dead letters")).to_be_visible()
