"""Creating the reader of a schema."""

import pytest

from service.errors import UnusableSchema
from service.handler.kafka.registry import readers
from service.handler.kafka.registry.reader import RegisteredSchema, SchemaFile
from service.handler.kafka.registry.readers import reader_of


def test_an_unknown_kind_of_schema_is_not_used() -> None:
    with pytest.raises(UnusableSchema, match="is neither Avro, JSON Schema nor Protobuf"):
        reader_of(RegisteredSchema("THRIFT", "{}"))


def test_a_schema_whose_references_cannot_be_fetched_is_not_used() -> None:
    with pytest.raises(UnusableSchema, match="refers to b"):
        reader_of(RegisteredSchema("JSON", "{}", problem="refers to b"))


@pytest.mark.parametrize("kind", ["AVRO", "PROTOBUF"])
def test_a_schema_that_is_too_large_with_its_references_is_not_used(kind: str) -> None:
    half = " " * (readers.MAX_CHARACTERS // 2)
    with pytest.raises(UnusableSchema, match="has more than 1048576 characters, with those that it refers to"):
        reader_of(RegisteredSchema(kind, half, (SchemaFile("a", half), SchemaFile("b", " "))))
    assert reader_of(RegisteredSchema("JSON", half, (SchemaFile("a", half), SchemaFile("b", " "))))(b"{}") == b"{}"


@pytest.mark.parametrize("failure", [RecursionError, MemoryError, KeyError])
def test_a_schema_that_a_library_fails_to_read_is_not_used(
    monkeypatch: pytest.MonkeyPatch, failure: type[Exception]
) -> None:
    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(readers, "avro_reader", fail)
    with pytest.raises(UnusableSchema, match="cannot be read"):
        reader_of(RegisteredSchema("AVRO", "{}"))
