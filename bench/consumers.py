"""The consumers of one measurement: a group of processes that share a topic."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Final

from bench.context import Context
from bench.databases import Database
from bench.groups import Group
from bench.processes import MeasuredService, wait_until
from bench.topics import Topic
from bench.usage import cpu_seconds, peak_bytes

_JOIN_TIMEOUT_SECONDS: Final = 60.0
_FAST_REBALANCE: Final = '{"heartbeat.interval.ms": 300}'
"""A member learns of new members with its next heartbeat. The cost of the heartbeats is not measurable."""


class Consumers:
    """Running consumers."""

    def __init__(self, consumers: Sequence[MeasuredService]) -> None:
        self._consumers = consumers

    def wait(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        """Block until the condition is true. Raises ServerUnavailable on a timeout, or if a consumer exits."""

        def condition_with_all_alive() -> bool:
            for each in self._consumers:
                each.process.require_alive()
            return condition()

        wait_until(condition_with_all_alive, what, seconds)

    def cpu_seconds(self) -> float:
        return sum(map(cpu_seconds, self._pids()))

    def peak_bytes(self) -> int:
        """Return the peak memory of the largest consumer."""
        return max(map(peak_bytes, self._pids()))

    def _pids(self) -> list[int]:
        return [each.process.pid for each in self._consumers if each.process.pid]


@contextmanager
def started(context: Context, topic: Topic, database: Database, group: Group, members: int) -> Iterator[Consumers]:
    """Run consumers; yield once each of them has partitions. Raises ServerUnavailable."""
    services = [_consumer(context, topic, database, group) for _ in range(members)]
    with ExitStack() as running:
        for each in services:
            running.enter_context(each.process)
        consumers = Consumers(services)
        consumers.wait(partial(group.is_balanced, members), "the consumers to join the group", _JOIN_TIMEOUT_SECONDS)
        yield consumers


def _consumer(context: Context, topic: Topic, database: Database, group: Group) -> MeasuredService:
    settings = {
        "ORDERS_KAFKA__BOOTSTRAP_SERVERS": context.bootstrap_servers,
        "ORDERS_KAFKA__TOPIC": topic.name,
        "ORDERS_KAFKA__DEAD_LETTER_TOPIC": topic.dead_letters,
        "ORDERS_KAFKA__GROUP_ID": group.id,
        "ORDERS_KAFKA__PROPERTIES": _FAST_REBALANCE,
        "ORDERS_POSTGRES__DSN": database.dsn,
        "ORDERS_RETRY__MAX_BACKOFF": "0.1",  # the longest delay after the database allows connections
        "ORDERS_LOG__LEVEL": "error",  # no warnings about refused connections
    }
    return MeasuredService(context, "consumer", settings)
