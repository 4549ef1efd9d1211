"""Compares the actual result of a run with the expected one."""

from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from confluent_kafka import Consumer

from generator.actual import GroupProgress, messages, open_consumer, progress, stored_orders
from generator.compare import DeadLetterTable, OrderCounts, compare_dead_letters, compare_orders
from generator.expected import expected_result, infer_until
from generator.stream import Plan
from service.config import KafkaSettings
from service.handler.kafka.client.properties import given
from service.handler.kafka.client.translate import translated
from service.pkg.polling import poll
from service.repo.conninfo import Conninfo

POLL_INTERVAL_SECONDS: Final = 0.5


@dataclass(frozen=True)
class Verification:
    expected_messages: int
    progress: GroupProgress
    orders: OrderCounts
    dead_letters: DeadLetterTable

    def is_exact(self, *, allow_repeated: bool) -> bool:
        """Return whether every order and dead letter is as expected, and the group has no lag.

        A crash of the consumer may repeat dead letters with the same origin, which `allow_repeated` accepts.
        """
        return (
            self.expected_messages == self.progress.produced
            and not self.progress.lag
            and self.orders.exact
            and all(counts.is_exact(allow_repeated=allow_repeated) for counts in self.dead_letters.rows.values())
        )


@translated()
def verify(
    plan: Plan,
    kafka: KafkaSettings,
    conninfo: Conninfo,
    *,
    is_until_known: bool,
    lag_timeout_seconds: float,
    max_age_seconds: float | None = None,
) -> Verification:
    """Wait until the group has no lag, then compare the tables and the dead-letter topic with the plan.

    Without `is_until_known`, the plan's `until` is inferred from the topic. Orders that are older than
    `max_age_seconds` may be missing. Blocks for at most `lag_timeout_seconds`, and while it reads. Raises CommandFailed
    and KafkaRequestFailed.
    """
    with closing(open_consumer(kafka.bootstrap_servers, kafka.group_id, given(kafka))) as consumer:
        if not is_until_known:
            plan = replace(plan, until=infer_until(plan, messages(consumer, kafka.topic)))
        reached = _wait_for_lag(consumer, kafka.topic, lag_timeout_seconds)
        expected = expected_result(plan, _cutoff(max_age_seconds))
        return Verification(
            expected.messages,
            reached,
            compare_orders(expected.orders, stored_orders(conninfo), expected.expired),
            compare_dead_letters(expected.dead_letters, messages(consumer, kafka.dead_letter_topic), kafka.topic),
        )


def _cutoff(max_age_seconds: float | None) -> datetime | None:
    return None if max_age_seconds is None else datetime.now(UTC) - timedelta(seconds=max_age_seconds)


def _wait_for_lag(consumer: Consumer, topic: str, seconds: float) -> GroupProgress:
    return poll(
        lambda: progress(consumer, topic),
        lambda reached: not reached.lag,
        seconds=seconds,
        interval=POLL_INTERVAL_SECONDS,
    )
