"""The contract of a lookup of a topic's id, with the fake admin client and with a real one."""

from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from service.handler.kafka.client.topic_id import fetch_topic_id
from tests.kit.fake_consumer import TOPIC, FakeAdmin

if TYPE_CHECKING:
    from tests.kit.harness import Harness

SECONDS = 10.0


@pytest.fixture(params=["fake", "kafka"])
def existing(request: pytest.FixtureRequest) -> tuple[Any, str]:
    """An admin client and the name of an existing topic."""
    if request.param == "fake":
        return FakeAdmin("03khuBS4QPyPcMhe5ZSsuQ"), TOPIC
    harness: Harness = request.getfixturevalue("harness")
    return harness.admin(), harness.topic


def test_each_lookup_of_a_topic_returns_its_id(existing: tuple[Any, str]) -> None:
    admin, name = existing
    first = fetch_topic_id(admin, name, SECONDS)
    assert first.exists
    assert fetch_topic_id(admin, name, SECONDS) == first


def test_a_lookup_of_a_missing_topic_is_an_error(existing: tuple[Any, str]) -> None:
    admin, _ = existing
    with pytest.raises(KafkaException) as failure:
        fetch_topic_id(admin, "missing", SECONDS)
    assert failure.value.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART
