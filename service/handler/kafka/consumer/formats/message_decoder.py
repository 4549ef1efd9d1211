"""Decodes the message of a record in any format to an order."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from service.decoding.decoder import Decoder
from service.entities.dead_letter import Violation
from service.entities.dead_letter_headers import Headers
from service.entities.message_format import MessageFormat
from service.entities.order import Order
from service.entities.record import Record
from service.errors import DocumentRejected
from service.handler.kafka.consumer.formats.cloudevents import CloudEvents, is_cloudevent
from service.handler.kafka.consumer.formats.confluent import ConfluentWireFormat
from service.handler.kafka.consumer.formats.connect import ConnectEnvelope
from service.handler.kafka.consumer.formats.content import decompressed, is_tombstone, utf8
from service.handler.kafka.consumer.formats.debezium import Debezium
from service.handler.kafka.consumer.formats.document import FormatReader, RawMessage
from service.handler.kafka.consumer.formats.envelope import is_order
from service.handler.kafka.consumer.formats.plain_json import PlainJson
from service.handler.kafka.registry.frame import ID_MARK
from service.handler.kafka.registry.reader import RawDocument, undecodable

ENVELOPES: Final[Sequence[FormatReader]] = (CloudEvents(), Debezium(), ConnectEnvelope(), PlainJson())
"""In order of precedence: the first one that describes a message reads it."""

_BRACE: Final = ord("{")
_ORDER_START: Final = b'{"order_uid"'
"""How most orders begin. No envelope does, so an order with unknown fields needs no search for the fields of one."""


Decoded = tuple[Order, bytes | None]
"""An order, and the JSON text that contains all its strings; None if there is no such text.

A plain tuple, because it is created faster than a NamedTuple.
"""


class MessageDecoder:
    """Tries plain JSON or Confluent's wire format first.

    If that fails, the first bytes and the headers of the message show which format it has.
    """

    def __init__(
        self,
        decoder: Decoder,
        accepted: frozenset[MessageFormat],
        *,
        max_bytes: int,
        count: Mapping[MessageFormat, Callable[[], None]],
        confluent: ConfluentWireFormat,
    ) -> None:
        """`count` counts an order, or a tombstone in an envelope, by the format of its message."""
        self._decoder = decoder
        self._accepted = accepted
        self._max_bytes = max_bytes
        self._count = count
        self._count_json = count[MessageFormat.JSON]
        self._count_frame = count[MessageFormat.CONFLUENT]
        self._confluent = confluent
        self._content = confluent.content
        self._try_decode = decoder.try_decode
        self._accepts_frames = MessageFormat.CONFLUENT in accepted
        self._accepts_frames_alone = accepted == {MessageFormat.CONFLUENT}
        self._accepts_json = MessageFormat.JSON in accepted

    def decode(self, record: Record) -> Decoded | None:
        """Return the order in a record; None if it has no document (a tombstone).

        Raises DocumentRejected, and SchemaNotLoaded; nothing is counted then.
        """
        value = record.value
        if not value:
            return None
        headers = record.headers
        is_json = value[0] == _BRACE and self._accepts_json and not (headers and is_cloudevent(headers))
        if is_json:
            order = self._decoder.try_decode(value)
            if order is not None:
                self._count_json()
                return order, value
            if value.startswith(_ORDER_START):
                tolerant = self._decode_tolerantly(value)
                self._count_json()
                return tolerant
        elif value[0] == ID_MARK and self._accepts_frames and len(value) <= self._max_bytes:
            decoded = self._try_frame(value, headers or [])
            if decoded is not None:
                self._count_frame()
                return decoded
        return self._decode_any(value, headers or [], is_tried=is_json)

    def read_uid(self, value: bytes, headers: Headers) -> str | None:
        """Return the `order_uid` of the document that `decode` finds, valid or not; None if it cannot be read."""
        with suppress(DocumentRejected):
            message = RawMessage(utf8(decompressed(value, self._max_bytes)), headers)
            found, _ = self._recognize(message)
            return self._decoder.read_uid(found.document(message))
        return None

    def _try_frame(self, value: bytes, headers: Headers) -> Decoded | None:
        """Return the order in Confluent's wire format; None if `_decode_any` has to find out why there is none."""
        try:
            document = self._content(value, headers)
            if isinstance(document, bytes):
                order = self._try_decode(document)
                return None if order is None else (order, document)
            return None if document is None else (self._decoder.decode_object(document), None)
        except DocumentRejected:
            return None

    def _decode_any(self, value: bytes, headers: Headers, *, is_tried: bool) -> Decoded | None:
        """Decode a message in any format. `is_tried`: the value is no order that `try_decode` accepts."""
        self._decoder.check_size(value)
        content = utf8(decompressed(value, self._max_bytes))
        if is_tombstone(content):
            return None
        message = RawMessage(content, headers)
        found, title = self._recognize(message)
        if found.format not in self._accepted:
            raise undecodable(f"{title}: set ORDERS_DOCUMENT__FORMAT to auto or {found.format}")
        document = found.document(message)
        if document is None or (isinstance(document, bytes) and is_tombstone(document)):
            decoded = None
        elif found.format != MessageFormat.JSON:
            decoded = self._decode_wrapped(document, title)
        elif is_tried:
            decoded = self._decode_tolerantly(value)
        else:
            decoded = self._decode_document(document)
        self._count[found.format]()
        return decoded

    def _recognize(self, message: RawMessage) -> tuple[FormatReader, str]:
        """Return the format of a message. A JSON order is in Confluent's format only if no other format is accepted."""
        title = self._confluent.describe(message)
        if title and (self._accepts_frames_alone or not is_order(message.value)):
            return self._confluent, title
        for each in ENVELOPES:
            if title := each.describe(message):
                return each, title
        raise AssertionError  # PlainJson describes every message

    def _decode_wrapped(self, document: RawDocument, title: str) -> Decoded:
        """Decode a document, and name the format in the detail of a rejection."""
        try:
            return self._decode_document(document)
        except DocumentRejected as rejection:
            raise DocumentRejected(rejection.reason, [Violation("", title), *rejection.violations]) from None

    def _decode_document(self, document: RawDocument) -> Decoded:
        if not isinstance(document, bytes):
            return self._decoder.decode_object(document), None
        order = self._decoder.try_decode(document)
        return self._decode_tolerantly(document) if order is None else (order, document)

    def _decode_tolerantly(self, document: bytes) -> Decoded:
        return self._decoder.decode_tolerantly(document), None if self._decoder.adds_text else document
