"""Creates the reader of a schema."""

from service.errors import UnusableSchema
from service.handler.kafka.registry.avro import avro_reader
from service.handler.kafka.registry.protobuf import protobuf_reader
from service.handler.kafka.registry.reader import RegisteredSchema, SchemaReader


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
    match schema.kind:
        case "AVRO":
            return avro_reader(schema.text, schema.references)
        case "PROTOBUF":
            return protobuf_reader(schema.text, schema.references)
        case "JSON":
            return bytes  # the decoder validates JSON, with stricter rules than any schema
    raise UnusableSchema("is neither Avro, JSON Schema nor Protobuf")
