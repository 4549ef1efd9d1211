"""What `orders doctor` reads from the metadata and the configuration of a topic."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from service.handler.kafka.client.topics import lacks_in_sync_replicas

if TYPE_CHECKING:
    from service.handler.kafka.client.diagnostics import DiagnosticAdminClient


class Admin:
    """Knows one topic with `min.insync.replicas=2`, and the replicas and in-sync replicas of its partitions."""

    def __init__(self, *partitions: tuple[list[int], list[int]]) -> None:
        self._partitions = dict(enumerate(SimpleNamespace(replicas=each[0], isrs=each[1]) for each in partitions))

    def describe_configs(self, resources: list[Any], **_: object) -> dict[Any, "Future[Any]"]:
        answer: Future[Any] = Future()
        answer.set_result({"min.insync.replicas": SimpleNamespace(value="2")})
        return dict.fromkeys(resources, answer)

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
