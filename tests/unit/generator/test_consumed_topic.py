"""Commands that write to `ORDERS_KAFKA__TOPIC` refuse if no consumer would read it."""

import pytest

from generator.consumed_topic import require_consumed_topic
from service.config import KafkaSettings
from service.errors import CommandFailed


@pytest.mark.parametrize("topics", ["", "returns,orders", "^orders"])
def test_a_topic_that_the_consumers_read_is_accepted(topics: str) -> None:
    assert require_consumed_topic(KafkaSettings(topics=topics)) == "orders"


@pytest.mark.parametrize("topics", ["orders.eu,orders.us", "^orders[.]"])
def test_a_topic_that_the_consumers_do_not_read_is_refused(topics: str) -> None:
    with pytest.raises(CommandFailed, match=r"^the consumers do not read orders, but .*: set ORDERS_KAFKA__TOPIC to"):
        require_consumed_topic(KafkaSettings(topics=topics))
