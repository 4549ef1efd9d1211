"""Looks up the ids of topics once a second."""

from collections.abc import Callable, Collection, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from service.handler.kafka.client.topic_id import TopicId, describe_topics, request_controller, topic_id_of

if TYPE_CHECKING:
    from concurrent.futures import Future

    from confluent_kafka.admin._topic import TopicDescription

_INTERVAL_SECONDS: Final = 1.0
"""Delay between an answer and the next lookup."""
_TIMEOUT_SECONDS: Final = 2.0

Answer = TopicId | KafkaException


class TopicIdLookup:
    """Does not block, except as `request_controller`."""

    def __init__(self, admin: AdminClient, now: Callable[[], float] = monotonic) -> None:
        self._admin = admin
        self._now = now
        self._pending: Mapping[str, Future[TopicDescription]] = {}
        self._next_at = 0.0

    def restart(self) -> None:
        """Start a lookup at the next call of `take_answers`, and ignore the answers to the current one."""
        self._pending, self._next_at = {}, 0.0

    def take_answers(self, topics: Collection[str]) -> Mapping[str, Answer]:
        """Return the answers to the last lookup by topic, once; none while there are none.

        Starts the next lookup, of these topics, when it is due.
        """
        if not self._pending:
            if topics and self._now() >= self._next_at:
                self._pending = describe_topics(self._admin, topics, _TIMEOUT_SECONDS)
            return {}
        if not all(answer.done() for answer in self._pending.values()):
            return {}
        answers, self._pending = {topic: _answer(each) for topic, each in self._pending.items()}, {}
        request_controller(self._admin, [each for each in answers.values() if isinstance(each, KafkaException)])
        self._next_at = self._now() + _INTERVAL_SECONDS
        return answers


def _answer(description: "Future[TopicDescription]") -> Answer:
    try:
        return topic_id_of(description)
    except KafkaException as error:
        return error
