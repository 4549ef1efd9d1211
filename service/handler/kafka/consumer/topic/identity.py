"""The ids of topics, which show that a topic was deleted and recreated."""

from collections.abc import Callable, Collection, Iterable
from math import inf
from time import monotonic
from typing import Final

from confluent_kafka import KafkaException, TopicPartition
from structlog.typing import FilteringBoundLogger

from service.handler.kafka.client.consumer_group import ConsumerGroup
from service.handler.kafka.client.error_phrases import error_fields
from service.handler.kafka.client.topic_id import NO_TOPIC_ID, TopicId
from service.handler.kafka.consumer.topic.id_lookup import Answer, TopicIdLookup

_SETTLE_SECONDS: Final = 1.0
"""How long an id must be known before the topic is read: brokers know the id shortly before they serve the topic."""


class TopicIdentity:
    """The id of one topic. `timeout`: for how many seconds lookups may fail while the broker delivers messages."""

    def __init__(
        self,
        topic: str,
        group: ConsumerGroup,
        log: FilteringBoundLogger,
        *,
        timeout: float,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._topic = topic
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
        return str(self._id or NO_TOPIC_ID)

    @property
    def is_known(self) -> bool:
        """Whether the topic has an id, or is known to have none."""
        return self._id is not None

    @property
    def exists(self) -> bool:
        return self._id is not None and self._id.exists

    @property
    def is_awaited(self) -> bool:
        """Whether a refetch has not been answered yet."""
        return self._must_refetch and self._id != NO_TOPIC_ID

    @property
    def is_settled(self) -> bool:
        return self._now() - self._switched_at >= _SETTLE_SECONDS

    def contradicts(self, committed: TopicPartition) -> bool:
        """Return whether the offset was committed for another topic."""
        return self._id is not None and self._id.contradicts(committed)

    def await_refetch(self) -> None:
        self._must_refetch = True

    def on_answer(self, answer: Answer, *, is_delivering: bool) -> TopicId | None:
        """Handle the answer to a lookup. Return the id of a recreated topic; None if the topic is still the same.

        `is_delivering`: whether the broker delivers messages, although it may never return an id.
        """
        if isinstance(answer, KafkaException):
            self._on_failed_lookup(answer, is_delivering=is_delivering)
            return None
        self._must_refetch = False
        if answer == self._id:
            return None
        if self.exists:
            return answer
        self.switch(answer)
        return None

    def switch(self, topic_id: TopicId) -> None:
        self._group.set_topic_id(self._topic, topic_id)
        self._switched_at = self._now()

    @property
    def _id(self) -> TopicId | None:
        return self._group.topic_ids.get(self._topic)

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
                topic=self._topic,
                **error_fields(error.args[0]),
            )


class TopicIdentities:
    """The identities of the topics that were ever assigned to this member, or that it is subscribed to by name."""

    def __init__(self, lookup: TopicIdLookup, create: Callable[[str], TopicIdentity], topics: Iterable[str]) -> None:
        self._lookup = lookup
        self._create = create
        self._identities = {topic: create(topic) for topic in topics}

    def of(self, topic: str) -> TopicIdentity:
        if topic not in self._identities:
            self._identities[topic] = self._create(topic)
        return self._identities[topic]

    def refetch(self, topic: str) -> None:
        """Start a lookup at the next call of `fetch_new`, and ignore the answers to the current one."""
        self.of(topic).await_refetch()
        self._lookup.restart()

    def fetch_new(self, delivering: Collection[str]) -> dict[str, TopicId]:
        """Return the ids of recreated topics. Never blocks. `delivering`: the topics whose messages arrive."""
        found = {
            topic: self.of(topic).on_answer(answer, is_delivering=topic in delivering)
            for topic, answer in self._lookup.take_answers(self._identities.keys()).items()
        }
        return {topic: topic_id for topic, topic_id in found.items() if topic_id is not None}
