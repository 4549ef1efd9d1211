"""A simulated confluent_kafka.admin.AdminClient, as far as it looks up topics."""

from types import SimpleNamespace
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection

from tests.simulation.broker import Broker, Request


class Answer:
    """As the future that describe_topics returns."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._result: str | KafkaError | None = None

    def set(self, result: str | KafkaError) -> None:
        self._result = result

    def done(self) -> bool:
        return self._result is not None

    def result(self) -> Any:
        self._broker.scheduler.wait(self.done)
        if isinstance(self._result, KafkaError):
            raise KafkaException(self._result)
        return SimpleNamespace(topic_id=self._result)


class SimulatedAdmin:
    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def describe_topics(self, topics: TopicCollection, *, request_timeout: float) -> dict[str, Answer]:
        (name,) = topics.topic_names
        answer = Answer(self._broker)
        self._broker.send(Request.DESCRIBE, request_timeout, lambda: self._topic_id(name), answer.set)
        return {name: answer}

    def list_topics(self, timeout: float) -> None:
        """Ask for new metadata, whose content the consumer does not use."""

    def _topic_id(self, name: str) -> str | KafkaError:
        topic = self._broker.topics.get(name)
        return topic.id if topic else KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)
