"""Reads Avro with fastavro."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache
from io import BytesIO
from typing import Any, Final, cast

from fastavro import parse_schema, schemaless_reader
from fastavro.read import LOGICAL_READERS

from service.errors import UnusableSchema
from service.handler.kafka.registry.avro_bounds import Schema, bounds_of
from service.handler.kafka.registry.decimals import to_number
from service.handler.kafka.registry.reader import (
    MAX_MEMORY_BYTES,
    SchemaFile,
    SchemaReader,
    mismatches_rejected,
    require_size,
    undecodable,
)

_MISMATCH: Final = "Avro bytes do not match the schema"

Named = dict[str, Schema]
"""Records, enums and fixed types, by full name."""


def avro_reader(text: str, references: Sequence[SchemaFile] = ()) -> SchemaReader:
    """Return a reader of a schema. Raises UnusableSchema."""
    schema, named = _parse(text, references)
    if not (isinstance(schema, dict) and schema["type"] == "record"):
        raise UnusableSchema("is not a record")
    max_bytes = MAX_MEMORY_BYTES // bounds_of(schema, named).expansion
    _register_logical_types()

    def read(content: bytes) -> Mapping[str, Any]:
        require_size(content, max_bytes, "Avro")
        stream = BytesIO(content)
        document = schemaless_reader(stream, schema, None)
        if stream.tell() != len(content):
            raise undecodable(_MISMATCH)
        return cast("Mapping[str, Any]", document)  # the schema is a record

    return mismatches_rejected(read, _MISMATCH)


def _parse(text: str, references: Sequence[SchemaFile]) -> tuple[Schema, Named]:
    named: Named = {}
    try:
        for reference in references:
            parse_schema(json.loads(reference.text), named_schemas=named)
        return parse_schema(json.loads(text), named_schemas=named), named
    except Exception as error:  # of json and fastavro: ValueError, KeyError, TypeError, RecursionError and more
        raise UnusableSchema("is not valid Avro") from error


@cache
def _register_logical_types() -> None:
    """Read decimals as numbers of limited size, and UUIDs as text.

    fastavro has one table of them per process and no option per reader. Nothing else reads Avro here.
    """
    LOGICAL_READERS["bytes-decimal"] = LOGICAL_READERS["fixed-decimal"] = _read_decimal
    LOGICAL_READERS.pop("string-uuid", None)


def _read_decimal(unscaled: bytes, schema: Any = None, _: object = None) -> int | Decimal:
    return to_number(unscaled, schema.get("scale", 0))
