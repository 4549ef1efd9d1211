"""CloudEvents 1.0 in the structured and the binary mode of the Kafka protocol binding."""

from base64 import b64decode
from typing import Final

from service.entities.dead_letter_headers import Headers
from service.entities.message_format import MessageFormat
from service.handler.kafka.consumer.formats.document import RawMessage
from service.handler.kafka.consumer.formats.envelope import NULL, read_text, unquoted
from service.handler.kafka.registry.reader import RawDocument, undecodable

VERSION_HEADER: Final = "ce_specversion"
CONTENT_TYPE_HEADER: Final = "content-type"

_VERSION: Final = "1.0"
_STRUCTURED: Final = "application/cloudevents+json"
_CLOUDEVENTS: Final = "application/cloudevents"
_CLOUDEVENTS_BYTES: Final = _CLOUDEVENTS.encode()
_JSON: Final = ("application/json", "text/json")
_JSON_SUFFIX: Final = "+json"


def is_cloudevent(headers: Headers) -> bool:
    """Return whether headers say that a message is a CloudEvent. Runs for each message with headers."""
    for name, value in headers:
        if name == VERSION_HEADER or (name == CONTENT_TYPE_HEADER and value and value.startswith(_CLOUDEVENTS_BYTES)):
            return True
    return False


class CloudEvents:
    """Structured: the value is an event, and its `data` the document. Binary: the value is the document."""

    format = MessageFormat.CLOUDEVENTS

    def describe(self, message: RawMessage) -> str | None:
        is_event = (
            message.header(VERSION_HEADER) is not None
            or "specversion" in message.envelope
            or _content_type(message).startswith(_CLOUDEVENTS)
        )
        return MessageFormat.CLOUDEVENTS.description if is_event else None

    def document(self, message: RawMessage) -> RawDocument:
        version = message.header(VERSION_HEADER)
        if version is not None:
            return _binary(message, version)
        return _structured(message)


def _binary(message: RawMessage, version: bytes) -> bytes:
    _require_version(version.decode(errors="replace"))
    _require_json(_content_type(message))
    return message.value


def _structured(message: RawMessage) -> bytes:
    content_type = _content_type(message)
    if content_type.startswith(_CLOUDEVENTS) and content_type != _STRUCTURED:
        raise undecodable(f"CloudEvents are supported as {_STRUCTURED} alone, one event per message")
    event = message.envelope
    _require_version(read_text(event.get("specversion", NULL)))
    _require_json(_media_type(read_text(event.get("datacontenttype", NULL)) or ""))
    if (data := event.get("data", NULL)) != NULL:
        return unquoted(data)
    if (encoded := event.get("data_base64", NULL)) != NULL:
        return _decoded(encoded)
    if event.keys() & {"data", "data_base64"}:
        return NULL
    raise undecodable("CloudEvents event without data")


def _require_version(version: str | None) -> None:
    if version != _VERSION:
        raise undecodable(f"CloudEvents specversion is not supported: send {_VERSION}")


def _require_json(media_type: str) -> None:
    """Accept JSON, and no type, which means JSON too."""
    if media_type and media_type not in _JSON and not media_type.endswith(_JSON_SUFFIX):
        raise undecodable("CloudEvents datacontenttype is not JSON")


def _decoded(data: bytes) -> bytes:
    text = read_text(data)
    if text is None:
        raise undecodable("CloudEvents data_base64 is not Base64")
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise undecodable("CloudEvents data_base64 is not Base64") from None


def _content_type(message: RawMessage) -> str:
    return _media_type((message.header(CONTENT_TYPE_HEADER) or b"").decode(errors="replace"))


def _media_type(content_type: str) -> str:
    """Return the type in lower case, without parameters."""
    return content_type.partition(";")[0].strip().lower()
