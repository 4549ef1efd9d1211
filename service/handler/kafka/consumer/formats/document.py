"""What formats read and return."""

from functools import cached_property
from typing import Protocol

from service.entities.dead_letter_headers import Headers
from service.entities.message_format import MessageFormat
from service.handler.kafka.consumer.formats.envelope import Envelope, read_envelope
from service.handler.kafka.registry.reader import RawDocument


class RawMessage:
    """The value of a record, uncompressed and not empty, and the record's headers."""

    def __init__(self, value: bytes, headers: Headers) -> None:
        self.value = value
        self.headers = headers

    def header(self, name: str) -> bytes | None:
        """Return the value of the first header of this name."""
        return next((value for each, value in self.headers if each == name), None)

    @cached_property
    def envelope(self) -> Envelope:
        return read_envelope(self.value)


class FormatReader(Protocol):
    """A format of messages. Its methods are called in the reading thread."""

    format: MessageFormat

    def describe(self, message: RawMessage) -> str | None:
        """Name the format of a message, for the detail of its dead letter; None if it has another format.

        The text contains no values of the message but schema ids.
        """

    def document(self, message: RawMessage) -> RawDocument | None:
        """Return the document of a message that `describe` names; None if it has none (a tombstone).

        Raises DocumentRejected. Any other exception ends the consumer.
        """
