"""Caches the schemas of a registry: for good by id, because a schema never changes; an unknown id only briefly."""

from collections.abc import Callable
from time import monotonic
from typing import Final, NamedTuple

from service.errors import SchemaNotLoaded, SchemaUnknown, UnusableSchema
from service.handler.kafka.registry.frame import SchemaKey, describe_key
from service.handler.kafka.registry.reader import RegisteredSchema, SchemaReader, rejecting

UNKNOWN_SECONDS: Final = 60.0
"""How long an unknown id is cached."""

Fetch = Callable[[SchemaKey], RegisteredSchema | None]
"""Returns a schema; None if the registry does not know it. Blocks. Raises RegistryUnavailable."""


class _CachedReader(NamedTuple):
    reader: SchemaReader
    expires_at: float | None = None


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
        self._entries: dict[SchemaKey, _CachedReader] = {}
        self._unknown: tuple[SchemaKey | None, int] = (None, 0)
        """The schema that is being loaded, and how often the registry did not know it."""

    def reader(self, key: SchemaKey) -> SchemaReader:
        """Return the reader of a schema; that of an unknown schema rejects every message. Raises SchemaNotLoaded."""
        entry = self._entries.get(key)
        if entry is None or (entry.expires_at is not None and entry.expires_at <= self._now()):
            raise SchemaNotLoaded(key)
        return entry.reader

    def load(self, key: SchemaKey) -> None:
        """Cache a schema. Blocks for the registry's timeout. Raises RegistryUnavailable and SchemaUnknown."""
        schema = self._fetch(key)
        if schema is None:
            self._count_unknown(key)
            self._add(
                key, _CachedReader(rejecting("the registry does not know the schema"), self._now() + UNKNOWN_SECONDS)
            )
        else:
            self._add(key, _CachedReader(self._reader_of(schema)))
        self._unknown = (None, 0)

    def _count_unknown(self, key: SchemaKey) -> None:
        """Raise SchemaUnknown until the last attempt."""
        last, attempts = self._unknown
        attempts = attempts + 1 if last == key else 1
        self._unknown = (key, attempts)
        if attempts < self._unknown_id_attempts:
            raise SchemaUnknown(f"the schema registry does not know {describe_key(key)}")

    def _reader_of(self, schema: RegisteredSchema) -> SchemaReader:
        try:
            return self._build(schema)
        except UnusableSchema as error:
            return rejecting(f"the schema {error}")

    def _add(self, key: SchemaKey, entry: _CachedReader) -> None:
        """Replace the oldest entry if the cache is full."""
        if len(self._entries) >= self._max_entries and key not in self._entries:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = entry
