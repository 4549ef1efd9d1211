"""The topic that commands write to or verify, which the consumers must read."""

from typing import TYPE_CHECKING

from service.errors import CommandFailed

if TYPE_CHECKING:
    from service.config import KafkaSettings


def require_consumed_topic(kafka: "KafkaSettings") -> str:
    """Return the topic. Raises CommandFailed if the consumers do not read it."""
    if not kafka.subscription.includes(kafka.topic):
        raise CommandFailed(
            f"the consumers do not read {kafka.topic}, but {kafka.subscription}: set ORDERS_KAFKA__TOPIC to a topic "
            "that ORDERS_KAFKA__TOPICS includes"
        )
    return kafka.topic
