"""The repair of a dead letter on the page: edit, validate, replay, follow."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Locator, Page, Request, expect

from tests.browser.page import READS_ALL, Store, enter_key
from tests.kit.factories import order_document
from tests.kit.harness import Harness, Sent
from tests.kit.processes import Service, Spawn
from tests.kit.waiting import eventually

if TYPE_CHECKING:
    from tests.browser.conftest import Visit

KEY = "p" * 24
REPLAY_URL = "**/dead-letters/replay"
FOLLOWED_MS = 30_000
FOLLOWING = "Sent. Waiting until a consumer has stored it …"
REPAIRED = "The document is valid."


@pytest.fixture
def service(spawn: Spawn, settings: dict[str, str], tmp_path: Path) -> Service:
    keys = tmp_path / "keys"
    keys.write_text(f"support read,dead-letters,replay {KEY}\nread,dead-letters {READS_ALL}\n")
    return spawn("api", settings=settings | {"ORDERS_AUTH__KEYS_FILE": str(keys)}).ready()


@pytest.fixture
def dead_letter(harness: Harness) -> None:
    """A dead letter of the order `to-repair`, and a consumer."""
    broken = order_document(order_uid="to-repair", payment={"amount": "1817"})
    harness.produce(Sent(json.dumps(broken).encode(), b"to-repair"))
    harness.consumer()
    eventually(lambda: len(harness.dead_letters()) == 1)


def open_repair(page: Page, service: Service, key: str = KEY, text: str = "to-repair") -> Locator:
    """Select the dead letter and return the field of its document."""
    page.goto(f"{service.url}/#/dead-letters")
    enter_key(page, key)
    page.get_by_role("row").filter(has_text=text).get_by_role("link").click()
    return page.get_by_label("Document")


def validation(page: Page) -> Locator:
    return page.get_by_role("status", name="Validation")


def outcome(page: Page) -> Locator:
    return page.get_by_role("status", name="Replay", exact=True)


@pytest.mark.usefixtures("dead_letter")
def test_an_edited_dead_letter_is_followed_from_the_red_row_to_the_stored_order(
    visit: "Visit", service: Service, harness: Harness
) -> None:
    page = visit.page
    document = open_repair(page, service)
    replay = page.get_by_role("button", name=re.compile("^Replay "))
    expect(page.get_by_role("article").locator("mark")).to_have_text('"1817"')
    expect(validation(page)).to_contain_text("Expected int, got str")
    text = document.input_value()

    document.fill(text[:-1])
    expect(validation(page)).to_contain_text("a comma or } is expected")
    expect(replay).to_be_disabled()
    document.fill(text.replace('"1817"', "-1"))
    validation(page).get_by_role("button", name="payment.amount").click()
    expect(document).to_be_focused()
    assert document.evaluate("field => field.value.slice(field.selectionStart, field.selectionEnd)") == "-1"
    assert visit.axe_violations() == []
    page.keyboard.type("1817")
    expect(validation(page)).to_have_text(REPAIRED)
    replay.click()
    expect(outcome(page)).to_have_text("Stored: open order to-repair", timeout=FOLLOWED_MS)
    assert visit.axe_violations() == []
    outcome(page).get_by_role("link").click()
    expect(page.get_by_role("heading", name="to-repair")).to_be_visible()

    repaired = text.replace('"1817"', "1817").encode()
    assert [each.value() for each in harness.messages(harness.topic)][1:] == [repaired]
    assert len(harness.dead_letters()) == 1


def test_a_dead_letter_that_is_replayed_unchanged_is_followed_back_to_the_topic(
    visit: "Visit", service: Service, harness: Harness
) -> None:
    page = visit.page
    harness.produce(Sent(b"{", b"torn"))
    harness.consumer()
    eventually(lambda: len(harness.dead_letters()) == 1)
    open_repair(page, service, text="torn")
    page.get_by_role("button", name="Replay unchanged").click()
    expect(outcome(page)).to_contain_text("It failed again (undecodable)", timeout=FOLLOWED_MS)
    assert visit.axe_violations() == []
    outcome(page).get_by_role("link").click()
    expect(page.get_by_role("article")).to_contain_text("Replays1")


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ("to-repair", "Sent. The stored order did not change: its version is the same or newer."),
        ("another", "Sent, but neither stored nor dead-lettered again after 30 s. Check that a consumer is running."),
    ],
)
def test_a_replay_without_an_effect_says_what_is_known(
    visit: "Visit", service: Service, harness: Harness, store: Store, stored: str, message: str
) -> None:
    page = visit.page
    page.clock.install()
    store(stored)
    harness.produce_dead_letter(order_document(order_uid="to-repair"), 0)
    open_repair(page, service)
    page.get_by_role("button", name="Replay unchanged").click()
    expect(outcome(page)).to_have_text(FOLLOWING)
    page.clock.fast_forward(FOLLOWED_MS)
    expect(outcome(page)).to_have_text(message)
    assert visit.axe_violations() == []


@pytest.mark.usefixtures("dead_letter")
def test_a_key_without_the_scope_replay_gets_a_clear_message(visit: "Visit", service: Service) -> None:
    page = visit.page
    document = open_repair(page, service, READS_ALL)
    refusal = "Cannot be replayed: The API key lacks the scope replay."
    expect(validation(page)).to_contain_text(refusal)
    expect(page.get_by_role("button", name="Replay unchanged")).to_be_disabled()
    document.fill("{}")
    expect(validation(page)).to_contain_text(refusal)
    expect(page.get_by_role("button", name="Replay the edited document")).to_be_disabled()
    assert visit.axe_violations() == []


@pytest.mark.usefixtures("dead_letter")
def test_typing_cancels_the_validation_of_the_text_before(visit: "Visit", service: Service) -> None:
    page = visit.page
    document = open_repair(page, service)
    text = document.input_value()
    page.route(REPLAY_URL, lambda route: None if is_of_empty_object(route.request) else route.fallback())
    with page.expect_event("requestfailed", is_of_empty_object):
        with page.expect_request(is_of_empty_object):
            document.fill("{}")
        document.fill(text.replace('"1817"', "1817"))
    expect(validation(page)).to_have_text(REPAIRED)


def is_of_empty_object(request: Request) -> bool:
    return '"value":{}' in (request.post_data or "")


def test_an_edit_is_discarded_when_another_dead_letter_is_selected(
    visit: "Visit", service: Service, harness: Harness
) -> None:
    page = visit.page
    for offset, uid in enumerate(["first", "second"]):
        harness.produce_dead_letter(order_document(order_uid=uid), offset)
    document = open_repair(page, service, text="first")
    document.fill(document.input_value().replace("USD", "EUR"))
    expect(page.get_by_role("button", name="Replay the edited document")).to_be_enabled()
    page.get_by_role("row").filter(has_text="second").get_by_role("link").click()
    expect(document).to_have_value(re.compile('"order_uid": "second"'))
    expect(document).to_have_value(re.compile("USD"))
    page.get_by_role("button", name="Replay unchanged").click()
    expect(outcome(page)).to_have_text(FOLLOWING)
    sent = [json.loads(each.value() or b"") for each in harness.messages(harness.topic)]
    assert sent == [order_document(order_uid="second")]


@pytest.mark.usefixtures("dead_letter")
def test_a_replay_without_a_response_is_repeated_with_its_key(
    visit: "Visit", service: Service, harness: Harness
) -> None:
    page = visit.page
    document = open_repair(page, service)
    document.fill(document.input_value().replace('"1817"', "1817"))
    expect(validation(page)).to_have_text(REPAIRED)
    page.route(REPLAY_URL, lambda route: (route.fetch(), route.abort()))
    replay = page.get_by_role("button", name="Replay the edited document")
    with page.expect_request(REPLAY_URL) as first:
        replay.click()
    expect(outcome(page)).to_contain_text("It may have been sent.")
    page.unroute(REPLAY_URL)
    with page.expect_response(REPLAY_URL) as second:
        replay.click()
    assert second.value.request.headers["idempotency-key"] == first.value.headers["idempotency-key"]
    assert second.value.headers["idempotency-replayed"] == "true"
    assert len(harness.messages(harness.topic)) == 2


@pytest.mark.usefixtures("dead_letter")
def test_a_dead_letter_is_repaired_by_keyboard_on_a_narrow_dark_screen(visit: "Visit", service: Service) -> None:
    page = visit.page
    page.set_viewport_size({"width": 320, "height": 640})
    page.emulate_media(color_scheme="dark")
    document = open_repair(page, service)
    text = document.input_value()
    document.focus()
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.insert_text(text.replace('"1817"', "1817"))
    expect(validation(page)).to_have_text(REPAIRED)
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    assert visit.axe_violations() == []
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Replay the edited document")).to_be_focused()
    page.keyboard.press("Enter")
    expect(outcome(page)).to_contain_text("Stored", timeout=FOLLOWED_MS)
