"""Caches the schemas of a registry: for good by id, because a schema never changes; an unknown id only briefly."""

from collections.abc import Callable
from time import monotonic
from typing import Final, TypeVar

from service.errors import SchemaNotLoaded, SchemaUnknown, UnusableSchema
from service.handler.kafka.registry.frame import SchemaKey, describe_key
from service.handler.kafka.registry.reader import RegisteredSchema, SchemaReader, rejecting

UNKNOWN_SECONDS: Final = 10.0
"""How long an unknown id is cached; and how long one attempt is enough for others, which may be random bytes."""

Fetch = Callable[[SchemaKey], RegisteredSchema | None]
"""Returns a schema; None if the registry does not know it. Blocks. Raises RegistryUnavailable."""


_UNKNOWN: Final = rejecting("the registry does not know the schema")

_Value = TypeVar("_Value")


class SchemaCache:
    """The reading thread and the writing thread call `reader`; only the writing thread calls `load`."""

    def __init__(
        self,
        fetch: Fetch,
        build: Callable[[RegisteredSchema], SchemaReader],
        *,
        max_entries: int,
        unknown_id_attempts: int,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._fetch = fetch
        self._build = build
        self._max_entries = max_entries
        self._unknown_id_attempts = unknown_id_attempts
        self._now = now
        self._readers: dict[SchemaKey, SchemaReader] = {}
        self._unknown_until: dict[SchemaKey, float] = {}
        self._attempts: tuple[SchemaKey | None, int] = (None, 0)
        """The schema that is being loaded, and how often the registry did not know it."""
        self._one_attempt_until = 0.0

    def reader(self, key: SchemaKey) -> SchemaReader:
        """Return the reader of a schema; that of an unknown schema rejects every message. Raises SchemaNotLoaded."""
        reader = self._readers.get(key)
        if reader is not None:
            return reader
        if self._unknown_until.get(key, 0) > self._now():
            return _UNKNOWN
        raise SchemaNotLoaded(key)

    def load(self, key: SchemaKey) -> None:
        """Cache a schema. Blocks for the registry's timeout. Raises RegistryUnavailable and SchemaUnknown."""
        schema = self._fetch(key)
        if schema is None:
            self._count_unknown(key)
            self._one_attempt_until = self._now() + UNKNOWN_SECONDS
            self._put(self._unknown_until, key, self._one_attempt_until)
        else:
            self._put(self._readers, key, self._reader_of(schema))
        self._attempts = (None, 0)

    def _count_unknown(self, key: SchemaKey) -> None:
        """Raise SchemaUnknown until the last attempt."""
        last, attempts = self._attempts
        attempts = attempts + 1 if last == key else 1
        self._attempts = (key, attempts)
        if attempts < self._unknown_id_attempts and self._now() >= self._one_attempt_until:
            raise SchemaUnknown(f"the schema registry does not know {describe_key(key)}")

    def _reader_of(self, schema: RegisteredSchema) -> SchemaReader:
        try:
            return self._build(schema)
        except UnusableSchema as error:
            return rejecting(f"the schema {error}")

    def _put(self, entries: dict[SchemaKey, _Value], key: SchemaKey, value: _Value) -> None:
        """Replace the oldest entry if there are too many."""
        if len(entries) >= self._max_entries and key not in entries:
            del entries[next(iter(entries))]
        entries[key] = value
