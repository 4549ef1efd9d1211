"""The service calls no function of confluent-kafka 2.16 that can end the process."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

SERVICE = Path(__file__).parents[2] / "service"
CRASHES: Mapping[str, str] = {
    "describe_consumer_groups": "librdkafka aborts when Kafka returns after a request has timed out: "
    "use fetch_group_state or GroupMembers",
    "list_consumer_group_offsets": "the client crashes if the group's coordinator returns an error: "
    "use Consumer.committed",
}


def test_the_service_calls_no_function_that_can_end_the_process() -> None:
    calls = [
        f"{path.relative_to(SERVICE.parent)}: {name}: {CRASHES[name]}"
        for path in SERVICE.rglob("*.py")
        for name in _used(path.read_text())
    ]
    assert calls == []


@pytest.mark.parametrize("name", CRASHES)
def test_a_call_is_detected(name: str) -> None:
    assert [*_used(f"found = admin.{name}(['orders'])[0].result()")] == [name]


def _used(source: str) -> Iterator[str]:
    return (
        node.attr for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute) and node.attr in CRASHES
    )
