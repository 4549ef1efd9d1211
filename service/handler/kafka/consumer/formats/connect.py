"""The envelope of Kafka Connect's JsonConverter with `schemas.enable=true`: `{"schema": …, "payload": …}`."""

from service.entities.message_format import MessageFormat
from service.handler.kafka.consumer.formats.document import RawMessage
from service.handler.kafka.consumer.formats.envelope import unquoted
from service.handler.kafka.registry.reader import RawDocument


class ConnectEnvelope:
    """The payload is the document, as JSON or as text that contains JSON."""

    format = MessageFormat.CONNECT

    def describe(self, message: RawMessage) -> str | None:
        return MessageFormat.CONNECT.description if {"schema", "payload"} <= message.envelope.keys() else None

    def document(self, message: RawMessage) -> RawDocument:
        return unquoted(message.envelope["payload"])
