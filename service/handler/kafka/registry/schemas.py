"""Caches the schemas of a registry by id: for good, because a schema never changes; briefly if it cannot be used."""

from collections.abc import Callable
from time import monotonic
from typing import Final, TypeVar

from service.errors import SchemaNotLoaded, SchemaUnknown, UnusableSchema
from service.handler.kafka.registry.frame import SchemaKey, describe_key
from service.handler.kafka.registry.reader import RegisteredSchema, SchemaReader, rejecting

REJECTION_SECONDS: Final = 10.0
"""How long messages with an unknown or unusable schema are rejected before the registry is asked again.

For as long after an unknown id, other unknown ids get only one attempt, because they may be random bytes.
"""

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
        self._rejecting: dict[SchemaKey, tuple[SchemaReader, float]] = {}
        """Readers for schemas that are unknown or cannot be used, and until when."""
        self._attempts: tuple[SchemaKey | None, int] = (None, 0)
        """The schema that is being loaded, and for how many attempts the registry did not know it."""
        self._one_attempt_until = 0.0

    def reader(self, key: SchemaKey) -> SchemaReader:
        """Return the reader of a schema; if that cannot be used, it rejects every message. Raises SchemaNotLoaded."""
        reader = self._readers.get(key)
        if reader is not None:
            return reader
        rejecting_reader, until = self._rejecting.get(key, (_UNKNOWN, 0.0))
        if until <= self._now():
            raise SchemaNotLoaded(key)
        return rejecting_reader

    def load(self, key: SchemaKey) -> None:
        """Cache a schema. Blocks for the registry's timeout. Raises RegistryUnavailable and SchemaUnknown."""
        schema = self._fetch(key)
        if schema is None:
            self._count_unknown(key)
            self._one_attempt_until = self._now() + REJECTION_SECONDS
            self._reject(key, _UNKNOWN)
        else:
            self._build_reader(key, schema)
        self._attempts = (None, 0)

    def _count_unknown(self, key: SchemaKey) -> None:
        """Raise SchemaUnknown until the last attempt."""
        last, attempts = self._attempts
        attempts = attempts + 1 if last == key else 1
        self._attempts = (key, attempts)
        if attempts < self._unknown_id_attempts and self._now() >= self._one_attempt_until:
            raise SchemaUnknown(f"the schema registry does not know {describe_key(key)}")

    def _build_reader(self, key: SchemaKey, schema: RegisteredSchema) -> None:
        try:
            self._put(self._readers, key, self._build(schema))
        except UnusableSchema as error:
            self._reject(key, rejecting(f"the schema {error}"))

    def _reject(self, key: SchemaKey, reader: SchemaReader) -> None:
        self._put(self._rejecting, key, (reader, self._now() + REJECTION_SECONDS))

    def _put(self, entries: dict[SchemaKey, _Value], key: SchemaKey, value: _Value) -> None:
        """Replace the oldest entry if there are too many."""
        if len(entries) >= self._max_entries and key not in entries:
            del entries[next(iter(entries))]
        entries[key] = value
