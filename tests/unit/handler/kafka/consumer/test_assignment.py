"""What an assignment passes on between the client and the parts that know about positions and pauses."""

from dataclasses import fields
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from service.entities.partition import Partition
from service.handler.kafka.consumer.assignment import Assignment
from tests.kit.fake_consumer import TOPIC, FakeConsumer
from tests.kit.order_partitions import P0, P1


def assignment(**parts: Any) -> Assignment:
    others: dict[str, Any] = {each.name: None for each in fields(Assignment)}
    return Assignment(**others | parts)


@pytest.mark.parametrize(("is_paused", "queried"), [(True, {P0, P1}), (False, set())])
def test_the_lag_of_partitions_that_are_not_fetched_is_queried(
    kafka: FakeConsumer, queried: set[Partition], *, is_paused: bool
) -> None:
    kafka.incremental_assign([TopicPartition(TOPIC, number) for number in (0, 1)])
    paused: list[set[Partition]] = []
    made = assignment(
        client=kafka,
        fetch=SimpleNamespace(is_paused=is_paused, count_paused_time=lambda: None),
        lag=SimpleNamespace(update=lambda **options: paused.append({*options["paused"]})),
    )
    made.update_gauges()
    assert paused == [queried]


def test_partitions_that_were_verified_or_reset_start_paused_if_the_others_are(kafka: FakeConsumer) -> None:
    verified, reset = TopicPartition(TOPIC, 0, 3), TopicPartition(TOPIC, 1, 4)
    applied: list[TopicPartition] = []
    cleared: set[Partition] = set()
    assignment(
        client=kafka,
        position_check=SimpleNamespace(fetch_new_topic_ids=dict, verify=lambda: [verified], is_verified=lambda _: True),
        resets=SimpleNamespace(reset=lambda _: [reset], drop=lambda _: None),
        progress=SimpleNamespace(restart=lambda _: None, clear_ends=cleared.update),
        fetch=SimpleNamespace(apply=applied.extend),
    ).verify_positions()
    assert (applied, cleared) == ([verified, reset], {P0, P1})
