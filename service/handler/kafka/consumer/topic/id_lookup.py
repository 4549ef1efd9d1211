"""Looks up the id of the topic once a second."""

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Final

from confluent_kafka.admin import AdminClient

from service.handler.kafka.client.topic_id import TopicId, describe_topic, topic_id_of

if TYPE_CHECKING:
    from concurrent.futures import Future

    from confluent_kafka.admin._topic import TopicDescription

_INTERVAL_SECONDS: Final = 1.0
"""Delay between an answer and the next lookup."""
_TIMEOUT_SECONDS: Final = 2.0


class TopicIdLookup:
    """Does not block, except as `topic_id_of`."""

    def __init__(self, admin: AdminClient, topic: str, now: Callable[[], float] = monotonic) -> None:
        self._admin = admin
        self._topic = topic
        self._now = now
        self._pending: Future[TopicDescription] | None = None
        self._next_at = 0.0

    def restart(self) -> None:
        """Start a lookup at the next call of `take_answer`, and ignore the answer to the current one."""
        self._pending, self._next_at = None, 0.0

    def take_answer(self) -> TopicId | None:
        """Return the answer to the last lookup, once; None while there is none. Starts the next lookup when it is due.

        Raises KafkaException if the lookup failed.
        """
        if self._pending is None:
            if self._now() >= self._next_at:
                self._pending = describe_topic(self._admin, self._topic, _TIMEOUT_SECONDS)
            return None
        if not self._pending.done():
            return None
        answer, self._pending = self._pending, None
        self._next_at = self._now() + _INTERVAL_SECONDS
        return topic_id_of(answer, self._admin)
