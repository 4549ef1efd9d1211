"""Plain JSON: the value is the document."""

from service.entities.message_format import MessageFormat
from service.handler.kafka.consumer.formats.document import RawMessage
from service.handler.kafka.registry.reader import RawDocument


class PlainJson:
    """Describes each message, and so comes after all other formats."""

    format = MessageFormat.JSON

    def describe(self, _message: RawMessage) -> str:
        return MessageFormat.JSON.description

    def document(self, message: RawMessage) -> RawDocument:
        return message.value
