"""Decodes records whose schemas were not loaded when they were read. Implements usecases.ingest.DecodeUndecoded."""

from collections.abc import Callable, Mapping
from functools import partial

from service.entities.message_format import MessageFormat
from service.errors import RegistryUnavailable, SchemaNotLoaded, SchemaUnknown
from service.handler.kafka.consumer.add_record import Prepare, decode_record
from service.handler.kafka.consumer.formats.message_decoder import MessageDecoder
from service.handler.kafka.registry.frame import SchemaKey
from service.usecases.batch import Batch

NewDecoder = Callable[[Mapping[MessageFormat, Callable[[], None]]], MessageDecoder]
"""Returns a decoder that counts messages with these functions."""


class UndecodedRecords:
    """Belongs to the writing thread, and so has a decoder of its own.

    `set_registry_up` gets whether the last call succeeded, or None once no record needs the schema of a failed call.
    """

    def __init__(
        self,
        new_decoder: NewDecoder,
        prepare: Prepare,
        load: Callable[[SchemaKey], None],
        set_registry_up: Callable[[bool | None], None],
    ) -> None:
        self._formats: list[MessageFormat] = []
        self._decoder = new_decoder({each: partial(self._formats.append, each) for each in MessageFormat})
        self._prepare = prepare
        self._load = load
        self._set_registry_up = set_registry_up
        self._is_registry_up = True

    def __call__(self, batch: Batch) -> None:
        try:
            self._decode(batch)
        except SchemaNotLoaded as missing:
            self._load_schema(missing.key)
        else:
            if not self._is_registry_up:  # the partition of the record was revoked
                self._report(is_up=None)
        finally:
            batch.formats_decoded_later.extend(self._formats)
            self._formats.clear()

    def _decode(self, batch: Batch) -> None:
        """Decode the records of owned partitions, in order. Raises SchemaNotLoaded."""
        while batch.undecoded:
            record = batch.undecoded[0]
            if batch.owns(record.topic_partition):
                decode_record(record, batch, self._decoder, self._prepare)
            batch.undecoded.popleft()

    def _load_schema(self, key: SchemaKey) -> None:
        try:
            self._load(key)
        except RegistryUnavailable as error:
            self._report(is_up=isinstance(error, SchemaUnknown))  # it has answered
            raise
        self._report(is_up=True)

    def _report(self, *, is_up: bool | None) -> None:
        self._is_registry_up = is_up is not False
        self._set_registry_up(is_up)
