"""What the readers of Avro, Protobuf and JSON schemas have in common."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, NoReturn

from service.entities.dead_letter import Reason, Violation
from service.errors import DocumentRejected

MAX_MEMORY_BYTES: Final = 192 * 2**20
"""Memory that the document of one message may take."""

RawDocument = bytes | Mapping[str, Any]
"""JSON text, or an object with the fields of the document."""
SchemaReader = Callable[[bytes], RawDocument]
"""Returns the document in the content of a message. Safe in any thread. Raises DocumentRejected with one violation."""


class SchemaFile(NamedTuple):
    """A schema that another one imports by this name."""

    name: str
    text: str


class RegisteredSchema(NamedTuple):
    schema_type: str
    """AVRO, JSON or PROTOBUF; a registry may have others."""
    text: str
    references: tuple[SchemaFile, ...] = ()
    """Each comes after those that it imports itself."""
    problem: str | None = None
    """Why it cannot be used, if its references cannot be fetched."""


def undecodable(problem: str) -> DocumentRejected:
    """Return the rejection of a message that cannot be read. `problem` contains no values of the message."""
    return DocumentRejected(Reason.UNDECODABLE, [Violation("", problem)])


def rejecting(problem: str) -> SchemaReader:
    """Return a reader that rejects every message."""

    def read(_: bytes) -> NoReturn:
        raise undecodable(problem)

    return read


def require_size(content: bytes, max_bytes: int, kind: str) -> None:
    """Raise DocumentRejected if a message is so large that it could take more than MAX_MEMORY_BYTES with its schema."""
    if len(content) > max_bytes:
        raise undecodable(
            f"{kind} message of more than {max_bytes} bytes, which could take too much memory with the schema"
        )


def mismatches_rejected(read: SchemaReader, problem: str) -> SchemaReader:
    """Return a reader that rejects a message with `problem` if `read` raises anything other than DocumentRejected.

    Producers choose bytes and schemas: an exception of a library must not end the process at the same offset forever.
    """

    def safe(content: bytes) -> RawDocument:
        try:
            return read(content)
        except DocumentRejected:
            raise
        except Exception:  # noqa: BLE001 - of fastavro and protobuf: EOFError, IndexError, ArithmeticError and more
            raise undecodable(problem) from None

    return safe
