"""The id of the topic, which shows that the topic was deleted and recreated."""

from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Final

from confluent_kafka import KafkaException, TopicPartition
from structlog.typing import FilteringBoundLogger

from service.handler.kafka.client.consumer_group import ConsumerGroup
from service.handler.kafka.client.error_phrases import error_fields
from service.handler.kafka.client.topic_id import NO_TOPIC_ID, TopicId
from service.handler.kafka.consumer.topic.id_lookup import TopicIdLookup

_SETTLE_SECONDS: Final = 1.0
"""How long an id must be known before the topic is read: brokers know the id shortly before they serve the topic."""


class TopicIdentity:
    """`timeout`: for how many seconds lookups may fail while the broker delivers messages."""

    def __init__(
        self,
        lookup: TopicIdLookup,
        group: ConsumerGroup,
        log: FilteringBoundLogger,
        *,
        timeout: float,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._lookup = lookup
        self._group = group
        self._timeout = timeout
        self._log = log
        self._now = now
        self._switched_at = -inf
        """When the id was set, as a value of `now`; -inf: never."""
        self._failed_since: float | None = None
        """Start of the lookups that have all failed so far, as a value of `now`."""
        self._must_refetch = False

    def __str__(self) -> str:
        return str(self._group.topic_id or NO_TOPIC_ID)

    @property
    def is_known(self) -> bool:
        """Whether the topic has an id, or is known to have none."""
        return self._group.topic_id is not None

    @property
    def exists(self) -> bool:
        return self._group.topic_id is not None and self._group.topic_id.exists

    @property
    def is_awaited(self) -> bool:
        """Whether a refetch has not been answered yet."""
        return self._must_refetch and self._group.topic_id != NO_TOPIC_ID

    @property
    def is_settled(self) -> bool:
        return self._now() - self._switched_at >= _SETTLE_SECONDS

    def contradicts(self, committed: TopicPartition) -> bool:
        """Return whether the offset was committed for another topic."""
        return self._group.topic_id is not None and self._group.topic_id.contradicts(committed)

    def refetch(self) -> None:
        """Start a lookup at the next call of `fetch_new`, and ignore the answer to the current one."""
        self._must_refetch = True
        self._lookup.restart()

    def fetch_new(self, *, is_delivering: bool) -> TopicId | None:
        """Return the id of a recreated topic; None if the topic is still the same. Never blocks.

        `is_delivering`: whether the broker delivers messages, although it may never return an id.
        """
        found = self._take_answer(is_delivering=is_delivering)
        if found is None or found == self._group.topic_id:
            return None
        if self.exists:
            return found
        self.switch(found)
        return None

    def switch(self, topic_id: TopicId) -> None:
        self._group.topic_id, self._switched_at = topic_id, self._now()

    def _take_answer(self, *, is_delivering: bool) -> TopicId | None:
        try:
            found = self._lookup.take_answer()
        except KafkaException as error:
            self._on_failed_lookup(error, is_delivering=is_delivering)
            return None
        if found is not None:
            self._must_refetch = False
        return found

    def _on_failed_lookup(self, error: KafkaException, *, is_delivering: bool) -> None:
        """Stop waiting for the topic id if the broker delivers messages but never returns the id."""
        if self.is_known or not is_delivering:
            return
        now = self._now()
        if self._failed_since is None:
            self._failed_since = now
        if now - self._failed_since >= self._timeout:
            self.switch(NO_TOPIC_ID)
            self._log.warning(
                "Kafka does not return the topic's id: a recreated topic will not be detected",
                topic=self._group.topic,
                **error_fields(error.args[0]),
            )
