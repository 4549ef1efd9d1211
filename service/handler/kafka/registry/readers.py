"""Creates the reader of a schema."""

from typing import Final

from service.errors import UnusableSchema
from service.handler.kafka.registry.avro import avro_reader
from service.handler.kafka.registry.protobuf import protobuf_reader
from service.handler.kafka.registry.reader import RegisteredSchema, SchemaReader

MAX_CHARACTERS: Final = 2**20
"""Of a schema in Avro or Protobuf and those that it refers to: fifteen times as much memory, and a second of CPU."""


def reader_of(schema: RegisteredSchema) -> SchemaReader:
    """Return a reader. Raises UnusableSchema."""
    if schema.problem:
        raise UnusableSchema(schema.problem)
    try:
        return _reader_of(schema)
    except UnusableSchema:
        raise
    except Exception as error:  # of fastavro and protobuf: must not end the process for a producer's schema
        raise UnusableSchema("cannot be read") from error


def _reader_of(schema: RegisteredSchema) -> SchemaReader:
    if schema.schema_type == "JSON":
        return bytes  # the decoder validates JSON, with stricter rules than any schema
    if sum(len(text) for text in (schema.text, *(each.text for each in schema.references))) > MAX_CHARACTERS:
        raise UnusableSchema(f"has more than {MAX_CHARACTERS} characters, with those that it refers to")
    match schema.schema_type:
        case "AVRO":
            return avro_reader(schema.text, schema.references)
        case "PROTOBUF":
            return protobuf_reader(schema.text, schema.references)
    raise UnusableSchema("is neither Avro, JSON Schema nor Protobuf")
