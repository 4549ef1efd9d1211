"""`--topic` is required only where the consumers read several topics."""

import argparse

import pytest

from service.app.commands.topic_option import add_topic_option, chosen_topic, required_topic
from service.entities.subscription import Subscription
from service.errors import UsageError

ONE = Subscription(("orders",))
TWO = Subscription(("orders.eu", "orders.us"))
PATTERN = Subscription((), "^orders", "orders.dlq")


def given(*arguments: str) -> str | None:
    parser = argparse.ArgumentParser()
    add_topic_option(parser, "help")
    topic: str | None = parser.parse_args(arguments).topic
    return topic


def test_the_only_topic_need_not_be_named() -> None:
    assert required_topic("skip-batch", given(), ONE) == "orders"
    assert required_topic("skip-batch", given("--topic", "orders"), ONE) == "orders"


@pytest.mark.parametrize("several", [TWO, PATTERN], ids=str)
def test_one_of_several_topics_must_be_named(several: Subscription) -> None:
    with pytest.raises(
        UsageError, match=r"^skip-batch: --topic is required, because the consumers read several"
    ) as raised:
        required_topic("skip-batch", given(), several)
    assert str(several) in str(raised.value)
    assert required_topic("skip-batch", given("--topic", "orders.eu"), several) == "orders.eu"


def test_without_a_name_all_topics_may_be_meant() -> None:
    assert chosen_topic("rewind", given(), TWO) is None
    assert chosen_topic("rewind", given("--topic", "orders.us"), TWO) == "orders.us"


@pytest.mark.parametrize("subscription", [ONE, TWO, PATTERN], ids=str)
@pytest.mark.parametrize("topic", ["returns", "orders.dlq"])
def test_a_topic_that_the_consumers_do_not_read_is_refused(subscription: Subscription, topic: str) -> None:
    for choose in (chosen_topic, required_topic):
        with pytest.raises(UsageError, match=rf"^rewind: --topic: the consumers do not read {topic}, but "):
            choose("rewind", topic, subscription)
