"""The wire format of Confluent's serializers: the id of a schema, and bytes that need this schema."""

from collections.abc import Callable

from service.entities.dead_letter_headers import Headers
from service.entities.message_format import MessageFormat
from service.errors import DocumentRejected
from service.handler.kafka.consumer.formats.document import RawMessage
from service.handler.kafka.registry.frame import ID_HEADER, SchemaKey, describe_key, read_frame
from service.handler.kafka.registry.reader import RawDocument, SchemaReader, rejecting, undecodable


class ConfluentWireFormat:
    """`reader` returns the reader of a schema, or raises SchemaNotLoaded."""

    format = MessageFormat.CONFLUENT

    def __init__(self, reader: Callable[[SchemaKey], SchemaReader]) -> None:
        self._reader = reader

    def describe(self, message: RawMessage) -> str | None:
        frame = read_frame(message.value, message.header(ID_HEADER))
        return f"{MessageFormat.CONFLUENT.description}, {describe_key(frame[0])}" if frame else None

    def content(self, value: bytes, headers: Headers) -> RawDocument | None:
        """Return the document in a value; None if it has no frame. Raises DocumentRejected and SchemaNotLoaded."""
        header = next((each for name, each in headers if name == ID_HEADER), None)
        frame = read_frame(value, header)
        if frame is None:
            return None
        key, content = frame
        return self._reader(key)(content)

    def document(self, message: RawMessage) -> RawDocument | None:
        """Return the message's document. Raises DocumentRejected and SchemaNotLoaded."""
        try:
            return self.content(message.value, message.headers)
        except DocumentRejected as rejection:
            raise undecodable(f"{self.describe(message)}: {rejection.violations[0]}") from None


class ConfluentWithoutRegistry(ConfluentWireFormat):
    """Rejects every message of the format, because no schema registry is configured."""

    def __init__(self) -> None:
        super().__init__(lambda _: rejecting("set ORDERS_REGISTRY__URLS"))
