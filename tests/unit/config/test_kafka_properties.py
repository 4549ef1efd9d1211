"""librdkafka properties that users cannot set are rejected with the reason."""

import pytest

from tests.kit.config import SECRET, refusal


@pytest.mark.parametrize(
    ("properties", "problem"),
    [
        (f'["{SECRET}"]', "must be a JSON object"),
        (f'"{SECRET}"', "must be a JSON object"),
        (f'{{"sasl.password": ["{SECRET}"]}}', "sasl.password must be a string, a number or a boolean"),
        ('{"sasl.password": null}', "sasl.password must be a string, a number or a boolean"),
    ],
)
def test_properties_of_the_wrong_type_are_rejected_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, properties: str, problem: str
) -> None:
    assert refusal(monkeypatch, ORDERS_KAFKA__PROPERTIES=properties) == f"ORDERS_KAFKA__PROPERTIES: {problem}"


@pytest.mark.parametrize(
    "properties", [f'{{"sasl.password": "{SECRET}"', SECRET, f'["{SECRET}"]', f'{{"sasl.password": ["{SECRET}"]}}']
)
def test_properties_that_are_not_a_json_object_of_scalars_are_rejected(
    monkeypatch: pytest.MonkeyPatch, properties: str
) -> None:
    assert refusal(monkeypatch, ORDERS_KAFKA__PROPERTIES=properties).startswith("ORDERS_KAFKA")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("partition.assignment.strategy", "the consumer supports incremental rebalancing only (cooperative-sticky)"),
        ("enable.auto.commit", "the consumer commits offsets itself, after it has stored the orders"),
        ("group.id", "set ORDERS_KAFKA__GROUP_ID"),
        ("stats_cb", "it takes a Python function"),
        ("topic.blacklist", "the consumer would get no partitions of a topic in this list"),
        ("test.mock.num.brokers", "it replaces the brokers with simulated ones"),
        ("statistics.interval.ms", "the consumer measures its lag with librdkafka's statistics"),
        ("topic.metadata.refresh.interval.ms", "the consumer detects new partitions within 10 s"),
        ("group.protocol.type", "`consumer` is the only group type that the consumer supports"),
        ("plugin.library.paths", "it loads code into the process"),
        ("internal.termination.signal", "librdkafka would handle this signal instead of the service"),
    ],
)
def test_reserved_properties_are_rejected_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, name: str, reason: str
) -> None:
    line = refusal(monkeypatch, ORDERS_KAFKA__PROPERTIES=f'{{"{name}": "{SECRET}"}}')
    assert line == f"ORDERS_KAFKA__PROPERTIES: {name} cannot be set here: {reason}"
