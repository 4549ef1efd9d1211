"""`ORDERS_KAFKA__TOPICS`: a list of topics or a pattern."""

import re

import pytest

from service.config import load
from service.entities.subscription import Subscription
from tests.kit.config import load_with, refusal

TOPICS = "ORDERS_KAFKA__TOPICS"
DEAD_LETTERS = "ORDERS_KAFKA__DEAD_LETTER_TOPIC"


def test_without_it_the_consumer_reads_the_topic() -> None:
    assert load().kafka.subscription == Subscription(("orders",))


@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_list_is_no_list(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    kafka = load_with(monkeypatch, **{TOPICS: text, "ORDERS_KAFKA__TOPIC": "a"}).kafka
    assert kafka.subscription == Subscription(("a",))


@pytest.mark.parametrize(
    ("text", "names"),
    [("a", ("a",)), ("a,b.c", ("a", "b.c")), (" a , b_-C1 ", ("a", "b_-C1")), ("x" * 249, ("x" * 249,))],
)
def test_it_lists_topics(monkeypatch: pytest.MonkeyPatch, text: str, names: tuple[str, ...]) -> None:
    assert load_with(monkeypatch, **{TOPICS: text}).kafka.subscription == Subscription(names)


@pytest.mark.parametrize(
    "text",
    [
        "^",
        "^orders",
        "^orders[.]",
        r"^orders\.(eu|us)$",
        "^a{2}b{1,}c{0,9}d+e*f?",
        "^(orders|returns)",
        "^[^a-z_-]x",
        "^.*",
    ],
)
def test_it_may_be_a_pattern_that_all_engines_understand_alike(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    kafka = load_with(monkeypatch, **{TOPICS: f" {text} "}).kafka
    assert kafka.subscription == Subscription((), text, "orders.dlq")
    re.compile(kafka.subscription.anchored_pattern)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a,", "entry 2 of 2: empty topic name"),
        (",", "entry 1 of 2: empty topic name"),
        ("a,b,a", "entry 3 of 3 is a duplicate"),
        ("a,b c", "entry 2 of 2: Kafka does not allow this topic name"),
        ("..", "entry 1 of 1: Kafka does not allow this topic name"),
        ("x" * 250, "entry 1 of 1: the topic name has 250 characters, but Kafka allows 249"),
        ("a,^b", "entry 2 of 2: a pattern cannot be combined with other topics"),
        ("^a,b", "unsupported pattern"),
        ("^[a", "unsupported pattern"),
        (r"^a\d", "unsupported pattern"),
        ("^a*?", "unsupported pattern"),
        ("^(?i)a", "unsupported pattern"),
        ("^[[:alpha:]]", "unsupported pattern"),
        ("^(a", "invalid pattern: missing ), unterminated subpattern"),
        ("^[z-a]", "invalid pattern: bad character range z-a"),
        ("^a|*", "invalid pattern: nothing to repeat"),
        ("a,orders.dlq", "topics and dead_letter_topic must differ"),
    ],
)
def test_what_cannot_be_subscribed_to_is_refused(monkeypatch: pytest.MonkeyPatch, text: str, problem: str) -> None:
    assert problem in refusal(monkeypatch, **{TOPICS: text})


def test_brokers_evaluate_patterns_of_the_new_protocol_and_exclude_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    protocol = {"ORDERS_KAFKA__GROUP_PROTOCOL": "consumer"}
    for text in ("^orders", "^.*", "^__"):
        assert "must match neither dead_letter_topic nor" in refusal(monkeypatch, **{TOPICS: text, **protocol})
    assert load_with(monkeypatch, **{TOPICS: "^orders$", **protocol}).kafka.subscription.pattern
    assert load_with(monkeypatch, **{TOPICS: "^orders", DEAD_LETTERS: "dead", **protocol}).kafka.subscription.pattern
