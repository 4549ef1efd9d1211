"""Dead letters on the page."""

import json
import re
from gzip import compress
from typing import TYPE_CHECKING, Any

from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser.page import READS, READS_ALL, UID, enter_key
from tests.kit.factories import order_document
from tests.kit.harness import Harness, Sent
from tests.kit.processes import Service
from tests.kit.waiting import eventually

if TYPE_CHECKING:
    from tests.browser.conftest import Visit

MARKUP = "<img src=x onerror=alert(1)>"


def encoded(**overrides: Any) -> bytes:
    return json.dumps(order_document(**overrides)).encode()


def dead_letter_rows(page: Page) -> Locator:
    return page.get_by_role("group", name="Dead letters").locator("tbody tr")


def open_dead_letter(page: Page, text: str) -> Locator:
    dead_letter_rows(page).filter(has_text=text).get_by_role("link").click()
    return page.get_by_role("article")


def test_without_keys_dead_letters_are_disabled_and_the_page_says_how_to_enable_them(
    visit: "Visit", shared_service: Service
) -> None:
    visit.page.goto(f"{shared_service.url}/#/dead-letters")
    expect(visit.page.get_by_role("status", name="Dead letters")).to_have_text(
        "Dead letters contain personal data: configure API keys to enable this view."
    )
    expect(visit.page.get_by_text("ORDERS_AUTH__KEYS_FILE")).to_be_visible()


def test_a_key_without_the_scope_gets_the_reason(visit: "Visit", service_with_keys: Service) -> None:
    visit.page.goto(f"{service_with_keys.url}/#/dead-letters")
    enter_key(visit.page, READS)
    expect(visit.page.get_by_role("status", name="Dead letters")).to_have_text(
        "The API key lacks the scope dead-letters."
    )


def test_without_dead_letters_the_view_says_so(visit: "Visit", service_with_keys: Service) -> None:
    visit.page.goto(f"{service_with_keys.url}/#/dead-letters")
    enter_key(visit.page, READS_ALL)
    expect(visit.page.get_by_text("There is nothing to repair.")).to_be_visible()
    assert visit.axe_violations() == []


def test_a_compressed_value_is_shown_decompressed(visit: "Visit", service_with_keys: Service, harness: Harness) -> None:
    page = visit.page
    whole = compress(encoded(order_uid=UID, payment={"amount": MARKUP}))
    harness.produce(Sent(whole, b"k-whole"), Sent(compress(b"a" * 2**19), b"k-long"), Sent(b"\x1f\x8bno", b"k-broken"))
    harness.consumer()
    eventually(lambda: len(harness.dead_letters()) == 3)
    page.goto(f"{service_with_keys.url}/#/dead-letters")
    enter_key(page, READS_ALL)
    shown = open_dead_letter(page, "k-whole")
    expect(shown).to_contain_text(f"decompressed from {len(whole)} bytes of gzip")
    expect(shown.locator("mark")).to_have_text(f'"{MARKUP}"')
    expect(open_dead_letter(page, "k-long")).to_contain_text("first 256 KiB")
    expect(open_dead_letter(page, "k-broken").locator("pre mark")).to_contain_text("1f 8b 6e 6f")


def test_dead_letters_are_listed_counted_and_shown_with_what_breaks(
    visit: "Visit", context: BrowserContext, service_with_keys: Service, harness: Harness
) -> None:
    page = visit.page
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    invalid = encoded(order_uid=UID, payment={"amount": "a lot", "provider": MARKUP})
    harness.produce(
        Sent(invalid, b"key\x1b[2J"), Sent(MARKUP.encode(), b"markup"), Sent(b"\xff\x00\xfe" * 9, b"binary")
    )
    harness.consumer()
    eventually(lambda: len(harness.dead_letters()) == 3)
    page.goto(f"{service_with_keys.url}/#/dead-letters")
    enter_key(page, READS_ALL)
    expect(dead_letter_rows(page)).to_have_count(3)
    expect(page.get_by_role("button", name="undecodable 2")).to_be_visible()

    shown = open_dead_letter(page, "binary")
    expect(shown).to_contain_text("not UTF-8 from byte 0 on")
    expect(shown.locator("pre mark")).to_contain_text("ff 00 fe")
    shown = open_dead_letter(page, "markup")
    expect(shown).to_contain_text("line 1, column 1: a value is expected")
    expect(shown.locator("pre")).to_have_text(MARKUP)
    expect(shown.locator("pre mark")).to_have_text("<")
    shown.get_by_role("button", name="Hex").click()
    expect(shown.locator("pre")).to_contain_text("3c 69 6d 67")

    shown = open_dead_letter(page, "⟨U+001B⟩[2J")
    expect(shown.locator("mark")).to_have_text('"a lot"')
    expect(shown).to_contain_text("payment.amount: Expected int, got str")
    expect(shown).to_contain_text(f"{harness.topic}, partition 0, offset 0")
    expect(shown.get_by_role("link", name=UID)).to_be_visible()
    shown.get_by_text("Headers (").click()
    expect(shown.get_by_role("rowheader", name="dlq-reason")).to_be_visible()
    shown.get_by_role("button", name="Copy show command").click()
    expect(shown.get_by_role("status", name="Copy show command")).to_have_text("Copied")
    assert re.fullmatch(r"orders dlq show \d \d --value", page.evaluate("navigator.clipboard.readText()"))
    assert visit.axe_violations() == []
    page.reload()
    expect(shown.locator("mark")).to_have_text('"a lot"')
    page.go_back()
    expect(shown).to_contain_text("line 1, column 1")


def test_dead_letters_are_filtered_and_the_address_holds_the_filter(
    visit: "Visit", service_with_keys: Service, harness: Harness
) -> None:
    page = visit.page
    harness.produce(Sent(b"{", b"torn"), Sent(encoded(order_uid="of-ann", entry=1), b"of-ann"))
    harness.consumer()
    eventually(lambda: len(harness.dead_letters()) == 2)
    page.goto(f"{service_with_keys.url}/#/dead-letters?order=of-ann")
    enter_key(page, READS_ALL)
    expect(dead_letter_rows(page)).to_have_count(1)
    expect(page.get_by_label("Order UID")).to_have_value("of-ann")
    page.get_by_label("Order UID").fill("")
    page.get_by_label("Text in detail").fill("MALFORMED")
    page.get_by_role("button", name="Filter").click()
    expect(dead_letter_rows(page)).to_contain_text(["torn"])
    page.get_by_label("Reason").select_option("rejected")
    expect(page.get_by_role("status", name="Dead letters")).to_have_text("No dead letters match.")
    page.get_by_role("link", name="Show all dead letters").click()
    expect(dead_letter_rows(page)).to_have_count(2)
    page.get_by_label("Time").select_option("1h")
    expect(page).to_have_url(re.compile(r"#/dead-letters\?since=1h$"))
    expect(dead_letter_rows(page)).to_have_count(2)
    page.get_by_role("button", name="invalid 1").click()
    expect(dead_letter_rows(page)).to_contain_text(["of-ann"])
