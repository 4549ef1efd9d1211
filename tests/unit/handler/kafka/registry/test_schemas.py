"""The cache of schemas."""

import pytest

from service.errors import DocumentRejected, RegistryUnavailable, SchemaNotLoaded, SchemaUnknown, UnusableSchema
from service.handler.kafka.registry.frame import SchemaKey
from service.handler.kafka.registry.reader import RegisteredSchema, SchemaReader
from service.handler.kafka.registry.schemas import REJECTION_SECONDS, SchemaCache

SCHEMA = RegisteredSchema("JSON", "{}")


class Source:
    """A registry, and the clock."""

    def __init__(self, *schemas: RegisteredSchema | RegistryUnavailable | None) -> None:
        self._schemas = [*schemas]
        self.fetched: list[SchemaKey] = []
        self.seconds = 0.0

    def fetch(self, key: SchemaKey) -> RegisteredSchema | None:
        self.fetched.append(key)
        schema = self._schemas.pop(0)
        if isinstance(schema, RegistryUnavailable):
            raise schema
        return schema


def build(schema: RegisteredSchema) -> SchemaReader:
    if schema.schema_type != "JSON":
        raise UnusableSchema("is of no use")
    return bytes


def cache_of(source: Source, *, max_entries: int = 10, attempts: int = 3) -> SchemaCache:
    return SchemaCache(
        source.fetch, build, max_entries=max_entries, unknown_id_attempts=attempts, now=lambda: source.seconds
    )


def test_a_schema_is_fetched_once() -> None:
    cache = cache_of(source := Source(SCHEMA))
    with pytest.raises(SchemaNotLoaded) as caught:
        cache.reader(7)
    assert caught.value.key == 7
    cache.load(7)
    source.seconds = 10 * REJECTION_SECONDS
    assert cache.reader(7)(b"{}") == b"{}"
    assert source.fetched == [7]


def test_an_unknown_schema_is_rejected_after_some_attempts() -> None:
    cache = cache_of(Source(None, None, None))
    for _ in range(2):
        with pytest.raises(SchemaUnknown, match="does not know schema id 7"):
            cache.load(7)
        with pytest.raises(SchemaNotLoaded):
            cache.reader(7)
    cache.load(7)
    with pytest.raises(DocumentRejected, match="the registry does not know the schema"):
        cache.reader(7)(b"{}")


def test_an_unknown_schema_is_asked_for_again_later() -> None:
    cache = cache_of(source := Source(None, SCHEMA), attempts=1)
    cache.load(7)
    source.seconds = REJECTION_SECONDS
    with pytest.raises(SchemaNotLoaded):
        cache.reader(7)
    cache.load(7)
    assert cache.reader(7)(b"{}") == b"{}"


def test_after_an_unknown_schema_one_attempt_is_enough_for_others_for_a_while() -> None:
    cache = cache_of(source := Source(None, None, None, None), attempts=2)
    with pytest.raises(SchemaUnknown):
        cache.load(1)
    cache.load(1)
    cache.load(2)
    with pytest.raises(DocumentRejected):
        cache.reader(2)(b"{}")
    source.seconds = REJECTION_SECONDS
    with pytest.raises(SchemaUnknown):
        cache.load(3)


def test_a_schema_that_becomes_known_is_read() -> None:
    cache = cache_of(Source(None, SCHEMA))
    with pytest.raises(SchemaUnknown):
        cache.load(7)
    cache.load(7)
    assert cache.reader(7)(b"{}") == b"{}"


def test_an_outage_is_no_attempt() -> None:
    away = RegistryUnavailable("away")
    cache = cache_of(Source(away, None, away, SCHEMA), attempts=2)
    for expected in (RegistryUnavailable, SchemaUnknown, RegistryUnavailable):
        with pytest.raises(expected):
            cache.load(7)
    cache.load(7)
    assert cache.reader(7)(b"{}") == b"{}"


def test_attempts_count_for_each_schema() -> None:
    cache = cache_of(Source(None, None), attempts=2)
    for key in (1, 2):
        with pytest.raises(SchemaUnknown):
            cache.load(key)


def test_a_schema_that_cannot_be_used_rejects_its_messages() -> None:
    cache = cache_of(source := Source(RegisteredSchema("XML", ""), SCHEMA))
    cache.load(7)
    with pytest.raises(DocumentRejected, match="the schema is of no use"):
        cache.reader(7)(b"<a/>")
    source.seconds = REJECTION_SECONDS
    with pytest.raises(SchemaNotLoaded):
        cache.reader(7)
    cache.load(7)  # what it refers to exists now
    assert cache.reader(7)(b"{}") == b"{}"


def test_a_full_cache_replaces_its_oldest_schema() -> None:
    cache = cache_of(Source(SCHEMA, SCHEMA, SCHEMA), max_entries=2)
    for key in (1, 2, 3):
        cache.load(key)
    with pytest.raises(SchemaNotLoaded):
        cache.reader(1)
    assert cache.reader(2) is cache.reader(3) is bytes
