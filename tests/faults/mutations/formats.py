"""Guarantees of formats and of the schema registry."""

from typing import Final

from tests.faults.mutations.mutation import ENCODER, Mutation
from tests.faults.replace import Replacement

SCHEMAS: Final = "service/handler/kafka/registry/schemas.py"
FORMATS: Final = "service/handler/kafka/consumer/formats"

MUTATIONS: Final = (
    Mutation(
        "a message whose schema is not cached waits for it",
        Replacement(
            "service/handler/kafka/consumer/add_record.py",
            "add_record",
            "try:\n    ...\nexcept SchemaNotLoaded:\n    ...",
            "try:\n    decode_record(record, batch, decoder, prepare)\nexcept SchemaNotLoaded:\n    pass",
        ),
        ("test_formats.py::test_without_a_fault[seed-1-avro]",),
    ),
    Mutation(
        "a schema registry that is unreachable is an outage",
        Replacement(
            SCHEMAS,
            "SchemaCache.load",
            "schema = self._fetch(key)",
            "try:\n    schema = self._fetch(key)\nexcept Exception:\n    self._reject(key, _UNKNOWN)\n    return",
        ),
        ("test_formats.py::test_the_registry_is_restarted[seed-1-avro]",),
    ),
    Mutation(
        "a schema that the registry does not know may be new",
        Replacement(SCHEMAS, "SchemaCache._count_unknown", "attempts < self._unknown_id_attempts", "False"),
        ("test_formats.py::test_the_registry_is_restarted[seed-1-avro]",),
    ),
    Mutation(
        "a schema that stays unknown is the message's fault",
        Replacement(
            SCHEMAS,
            "SchemaCache._count_unknown",
            "attempts < self._unknown_id_attempts and self._now() >= self._one_attempt_until",
            "True",
        ),
        ("test_formats.py::test_bad_messages[seed-1-avro]",),
    ),
    Mutation(
        "schemas are cached by their ids",
        Replacement(
            SCHEMAS, "SchemaCache.reader", "self._readers.get(key)", "next(iter(self._readers.values()), None)"
        ),
        ("test_formats.py::test_bad_messages[seed-1-avro]",),
    ),
    Mutation(
        "schemas are cached for good",
        Replacement(
            SCHEMAS,
            "SchemaCache._build_reader",
            "self._put(self._readers, key, self._build(schema))",
            "self._reject(key, self._build(schema))",
        ),
        ("test_formats.py::test_the_registry_is_restarted[seed-1-avro]",),
    ),
    Mutation(
        "an Avro message cannot take more memory than a consumer has",
        Replacement("service/handler/kafka/registry/avro.py", "avro_reader", "require_size(...)", ""),
        ("test_formats.py::test_bad_messages[seed-1-avro]",),
    ),
    Mutation(
        "a Protobuf message cannot take more memory than a consumer has",
        Replacement("service/handler/kafka/registry/protobuf.py", "_message_reader", "require_size(...)", ""),
        ("test_formats.py::test_bad_messages[seed-1-protobuf]",),
    ),
    Mutation(
        "decompression is bounded",
        Replacement(f"{FORMATS}/content.py", "decompressed", "gunzip(value, max_bytes)", "gunzip(value, 2**40)"),
        ("test_formats.py::test_bad_messages[seed-1-gzip]",),
    ),
    Mutation(
        "a dead letter has the headers of its message",
        Replacement(
            ENCODER,
            "DeadLetterEncoder.encode",
            "[*without_dlq_headers(record.headers), *self._dlq_headers(dead_letter)]",
            "self._dlq_headers(dead_letter)",
        ),
        ("test_formats.py::test_bad_messages[seed-1-cloudevents-binary]",),
    ),
    Mutation(
        "a dead letter has the bytes of its message",
        Replacement(ENCODER, "DeadLetterEncoder.encode", "record.value", "(record.value or b'').lstrip(bytes(1))"),
        ("test_formats.py::test_bad_messages[seed-1-confluent-json]",),
    ),
    Mutation(
        "the document of a change event is the row after the change",
        Replacement(f"{FORMATS}/debezium.py", "_row_after", 'event.get("after", NULL)', 'event.get("before", NULL)'),
        ("test_formats.py::test_without_a_fault[seed-1-debezium]",),
    ),
)
