"""The option `--topic` of commands that concern topics of the consumer group."""

import argparse

from service.entities.subscription import Subscription
from service.errors import UsageError


def add_topic_option(parser: argparse.ArgumentParser, help_text: str) -> None:
    parser.add_argument("--topic", metavar="TOPIC", help=help_text)


def chosen_topic(command: str, topic: str | None, subscription: Subscription) -> str | None:
    """Return the topic. Raises UsageError if the group does not read it."""
    if topic is not None and not subscription.includes(topic):
        raise UsageError(f"{command}: --topic: the consumers do not read {topic}, but {subscription}")
    return topic


def required_topic(command: str, topic: str | None, subscription: Subscription) -> str:
    """Return the topic, or the only one that the group reads. Raises UsageError."""
    if chosen := chosen_topic(command, topic, subscription):
        return chosen
    if len(subscription.names) != 1:
        raise UsageError(f"{command}: --topic is required, because the consumers read several topics: {subscription}")
    return subscription.names[0]
