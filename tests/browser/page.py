"""What tests use on the page."""

from collections.abc import Callable

from playwright.sync_api import Locator, Page

from tests.kit.factories import SAMPLE

UID = SAMPLE["order_uid"]
READS, READS_ALL = "r" * 24, "a" * 24
Store = Callable[..., object]


def search(page: Page) -> Locator:
    return page.get_by_role("combobox", name="Search orders")


def look_up(page: Page, uid: str) -> None:
    search(page).fill(uid)
    search(page).press("Enter")


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
