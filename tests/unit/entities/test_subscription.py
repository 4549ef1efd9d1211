"""Which topics the consumer group reads."""

import pytest

from service.entities.subscription import Subscription

EXISTING = ["orders", "orders.dlq", "orders.eu", "orders.us", "old.orders", "__orders", "returns"]


def pattern(text: str) -> Subscription:
    return Subscription((), text, "orders.dlq")


@pytest.mark.parametrize(
    ("subscription", "selected", "missing"),
    [
        (Subscription(("orders",)), ["orders"], []),
        (Subscription(("returns", "orders.eu", "orders.de", "b")), ["orders.eu", "returns"], ["b", "orders.de"]),
        (pattern("^orders"), ["orders", "orders.eu", "orders.us"], []),
        (pattern("^orders$"), ["orders"], []),
        (pattern("^orders[.]e"), ["orders.eu"], []),
        (pattern("^returns|orders"), ["orders", "orders.eu", "orders.us", "returns"], []),
        (pattern("^.*orders"), ["old.orders", "orders", "orders.eu", "orders.us"], []),
        (pattern("^"), ["old.orders", "orders", "orders.eu", "orders.us", "returns"], []),
        (pattern("^none"), [], []),
    ],
    ids=str,
)
def test_topics_are_selected_by_name_or_by_the_start_of_their_name(
    subscription: Subscription, selected: list[str], missing: list[str]
) -> None:
    assert subscription.select(EXISTING) == selected
    assert [topic for topic in EXISTING if subscription.includes(topic)] == sorted(selected, key=EXISTING.index)
    assert subscription.missing(EXISTING) == missing


@pytest.mark.parametrize(
    ("text", "matches"),
    [("^orders", True), ("^.*", True), ("^__", True), ("^orders[.](eu|us)", False), ("^orders$", False)],
)
def test_a_pattern_may_match_topics_that_it_does_not_include(text: str, *, matches: bool) -> None:
    assert pattern(text).matches_excluded_topics is matches


def test_a_list_matches_only_what_it_includes() -> None:
    assert not Subscription(("orders", "__consumer_offsets")).matches_excluded_topics
