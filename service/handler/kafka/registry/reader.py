"""What readers of a format have in common."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

from service.entities.dead_letter import Reason, Violation
from service.errors import DocumentRejected

DescribedDocument = bytes | Mapping[str, Any]
"""JSON text, or an object with the fields of the document."""
SchemaReader = Callable[[bytes], DescribedDocument]
"""Returns the document in the content of a frame. Safe in any thread. Raises DocumentRejected."""


class SchemaFile(NamedTuple):
    """A schema that another one imports by this name."""

    name: str
    text: str


class RegisteredSchema(NamedTuple):
    kind: str
    """AVRO, JSON or PROTOBUF; a registry may have more."""
    text: str
    references: tuple[SchemaFile, ...] = ()
    """Each comes after those that it imports itself."""


def reject(problem: str) -> NoReturn:
    """Reject a message as undecodable. `problem` contains no values of the message."""
    raise DocumentRejected(Reason.UNDECODABLE, [Violation("", problem)])


def rejecting(problem: str) -> SchemaReader:
    """Return a reader that rejects every message."""
    return lambda _: reject(problem)
