"""What `orders doctor` reads from the metadata and the configuration of a topic."""

from collections.abc import Mapping
from concurrent.futures import Future
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from service.config import KafkaSettings
from service.handler.kafka.client.topics import (
    FOREVER,
    SIZE_LIMIT,
    lacks_in_sync_replicas,
    max_record_ages,
    size_mismatch,
)

if TYPE_CHECKING:
    from service.handler.kafka.client.diagnostics import DiagnosticAdminClient


class Configured:
    """Knows the configs of topics."""

    def __init__(self, **configs: Mapping[str, object]) -> None:
        self._configs = configs

    def describe_configs(self, resources: list[Any], **_: object) -> dict[Any, "Future[Any]"]:
        return {resource: self._answer(resource.name) for resource in resources}

    def _answer(self, name: str) -> "Future[Any]":
        answer: Future[Any] = Future()
        answer.set_result({key: SimpleNamespace(value=str(value)) for key, value in self._configs[name].items()})
        return answer


def admin(**configs: Mapping[str, object]) -> "DiagnosticAdminClient":
    return cast("DiagnosticAdminClient", Configured(**configs))


@pytest.mark.parametrize(
    ("policy", "retention", "seconds"),
    [
        ("delete", 60_000, 67),
        ("delete", 0, 7),
        ("compact,delete", 60_000, 67),
        ("delete", -1, FOREVER),
        ("compact", 60_000, FOREVER),
    ],
)
def test_a_record_is_kept_for_the_retention_and_until_its_segment_ends(
    policy: str, retention: int, seconds: float
) -> None:
    config = {"cleanup.policy": policy, "retention.ms": retention, "segment.ms": 7_000}
    assert max_record_ages(["orders"], admin(orders=config)) == {"orders": seconds}


def test_topics_with_larger_messages_than_the_dead_letter_topic_are_named() -> None:
    limits = {"a": 10, "b": 9, "c": 11, "dlq": 9}
    client = admin(**{name: {SIZE_LIMIT: limit} for name, limit in limits.items()})
    kafka = KafkaSettings(topics="a,b,c", dead_letter_topic="dlq")
    problem = "max.message.bytes of dlq is 9, less than the 10 of a and the 11 of c"
    assert size_mismatch(kafka, ["a", "b", "c", "dlq"], client) == problem


class Admin(Configured):
    """Knows one topic with `min.insync.replicas=2`, and the replicas and in-sync replicas of its partitions."""

    def __init__(self, *partitions: tuple[list[int], list[int]]) -> None:
        super().__init__(**{"orders.dlq": {"min.insync.replicas": 2}})
        self._partitions = dict(enumerate(SimpleNamespace(replicas=each[0], isrs=each[1]) for each in partitions))

    def list_topics(self, topic: str, **_: object) -> SimpleNamespace:
        return SimpleNamespace(topics={topic: SimpleNamespace(partitions=self._partitions)})


@pytest.mark.parametrize(
    ("partition", "problem"),
    [
        (([1, 2, 3], [1, 2]), None),
        (([1, 2, 3], [3]), "partition 1 of orders.dlq has 1 replicas in sync, but needs 2"),
        (([1], [1]), None),
        (([1], []), "partition 1 of orders.dlq has 0 replicas in sync, but needs 1"),
    ],
)
def test_a_partition_with_too_few_replicas_in_sync_is_named(
    partition: tuple[list[int], list[int]], problem: str | None
) -> None:
    admin = Admin(([1, 2, 3], [1, 2, 3]), partition)
    assert lacks_in_sync_replicas("orders.dlq", cast("DiagnosticAdminClient", admin)) == problem
