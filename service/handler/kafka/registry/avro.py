"""Reads Avro with fastavro.

A schema is used only if each of its values takes at least one byte and none contains itself: otherwise a few bytes
could become any number of values, or end the process with a stack overflow.
"""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from io import BytesIO
from typing import Any, Final, cast

from fastavro import parse_schema, schemaless_reader
from fastavro.read import LOGICAL_READERS

from service.errors import UnusableSchema
from service.handler.kafka.registry.decimals import to_number
from service.handler.kafka.registry.reader import SchemaFile, SchemaReader, mismatches_rejected, reject

_MAX_DEPTH: Final = 64
_MISMATCH: Final = "Avro bytes do not match the schema"

Schema = Any
Named = dict[str, Schema]
"""Records, enums and fixed types, by full name."""


def avro_reader(text: str, references: Sequence[SchemaFile] = ()) -> SchemaReader:
    """Return a reader of a schema. Raises UnusableSchema."""
    schema, named = _parse(text, references)
    _require_bounded(schema, named)
    _register_logical_types()

    def read(content: bytes) -> Mapping[str, Any]:
        stream = BytesIO(content)
        document = schemaless_reader(stream, schema, None)
        if stream.tell() != len(content):
            reject(_MISMATCH)
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


def _require_bounded(schema: Schema, named: Named) -> None:
    """Raise UnusableSchema unless each value takes at least one byte, and none contains itself."""
    if not (isinstance(schema, dict) and schema.get("type") == "record"):
        raise UnusableSchema("is not a record")
    _Bounds(named).require(schema, ())


class _Bounds:
    def __init__(self, named: Named) -> None:
        self._named = named
        self._bounded: set[str] = set()
        """Names of types that were checked: a type may occur many times."""

    def require(self, node: Schema, parents: tuple[str, ...]) -> None:
        if isinstance(node, list):
            for branch in node:
                if branch != "null":  # the index of the branch takes a byte
                    self.require(branch, (*parents, ""))
        elif isinstance(node, str) and node in self._named:
            self._require_named(node, self._named[node], parents)
        elif isinstance(node, dict) and "name" in node:
            self._require_named(node["name"], node, parents)
        elif isinstance(node, dict):
            self._require_unnamed(node, parents)
        elif node == "null":
            raise UnusableSchema("has a null outside of a union")

    def _require_named(self, name: str, node: Schema, parents: tuple[str, ...]) -> None:
        if name in parents:
            raise UnusableSchema("is recursive")
        if name in self._bounded:
            return
        is_record = node["type"] in {"record", "error"}
        if (is_record and not node["fields"]) or node.get("size") == 0:
            raise UnusableSchema("has a type without content")
        if len(parents) >= _MAX_DEPTH:
            raise UnusableSchema("is nested too deeply")
        for field in node["fields"] if is_record else ():
            self.require(field["type"], (*parents, name))
        self._bounded.add(name)

    def _require_unnamed(self, node: Schema, parents: tuple[str, ...]) -> None:
        if len(parents) >= _MAX_DEPTH:
            raise UnusableSchema("is nested too deeply")
        for part in ("items", "values"):
            if part in node:
                self.require(node[part], (*parents, ""))
        if not {"items", "values"} & node.keys():
            self.require(node["type"], (*parents, ""))


def _register_logical_types() -> None:
    """Read decimals as numbers of limited size, and UUIDs as text. fastavro has one table of them."""
    LOGICAL_READERS["bytes-decimal"] = LOGICAL_READERS["fixed-decimal"] = _read_decimal
    LOGICAL_READERS.pop("string-uuid", None)


def _read_decimal(unscaled: bytes, schema: Any = None, _: object = None) -> int | Decimal:
    return to_number(unscaled, schema.get("scale", 0))
