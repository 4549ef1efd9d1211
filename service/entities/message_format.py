"""The formats of messages."""

from enum import StrEnum
from typing import Literal, Self


class MessageFormat(StrEnum):
    """How a message contains its document; also a metric label."""

    JSON = "json", "plain JSON"
    CLOUDEVENTS = "cloudevents", "CloudEvents"
    DEBEZIUM = "debezium", "Debezium change event"
    CONNECT = "connect", "Kafka Connect JSON envelope"
    CONFLUENT = "confluent", "Confluent wire format"

    description: str
    """The name in details and pages."""

    def __new__(cls, value: str, description: str) -> Self:
        message_format = str.__new__(cls, value)
        message_format._value_ = value
        message_format.description = description
        return message_format


FormatChoice = Literal["auto", "json", "cloudevents", "debezium", "connect", "confluent"]
"""`auto` accepts all formats, and recognizes each message's."""


def accepted_formats(choice: FormatChoice) -> frozenset[MessageFormat]:
    return frozenset(each for each in MessageFormat if choice in {"auto", each})
