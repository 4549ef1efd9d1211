"""Records whose schemas are not loaded: the reading thread leaves them to the writing thread."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from generator.encodings import encoder, framed, schema_text
from service.entities.dead_letter import Reason
from service.entities.record import Record
from service.errors import RegistryUnavailable, SchemaUnknown
from service.handler.kafka.consumer.add_record import add_record
from service.handler.kafka.consumer.undecoded import UndecodedRecords
from service.handler.kafka.registry.frame import ID_HEADER
from service.handler.kafka.registry.reader import RegisteredSchema
from service.handler.kafka.registry.readers import reader_of
from service.handler.kafka.registry.schemas import SchemaCache
from service.usecases.batch import Batch
from tests.kit.decoding import message_decoder
from tests.kit.factories import order_document
from tests.kit.fakes import FakeStore
from tests.kit.order_partitions import P0, P1
from tests.kit.policies import batch_limits

SCHEMAS: dict[Any, RegisteredSchema] = {1: RegisteredSchema("AVRO", schema_text("avro"))}
AVRO = encoder("avro")


class Setup:
    """The reading thread's part, and that of the writing thread. `problem` is the registry's."""

    def __init__(self) -> None:
        self.problem: RegistryUnavailable | None = None
        self.registry_up: list[bool | None] = []
        schemas = SchemaCache(self._fetch, reader_of, max_entries=10, unknown_id_attempts=2, now=lambda: 0.0)
        self._reading = message_decoder(schemas=schemas)
        self.decode = UndecodedRecords(
            lambda count: message_decoder(schemas=schemas, count=count),
            FakeStore.prepare,
            schemas.load,
            self.registry_up.append,
        )

    def _fetch(self, key: object) -> RegisteredSchema | None:
        if self.problem:
            raise self.problem
        return SCHEMAS.get(key)

    def add(self, batch: Batch, *values: bytes, partition: int = 0, headers: Any = None) -> None:
        for offset, value in enumerate(values):
            add_record(
                Record("orders", partition, offset, 0, None, value, headers), batch, self._reading, FakeStore.prepare
            )


@pytest.fixture
def setup() -> Setup:
    return Setup()


def avro(uid: str, schema_id: int = 1) -> bytes:
    return framed(schema_id, AVRO(order_document(order_uid=uid)))


def plain(uid: str) -> bytes:
    return json.dumps(order_document(order_uid=uid)).encode()


def uids(batch: Batch) -> list[str]:
    return [each.versioned.order.order_uid for each in batch.orders]


def test_records_from_the_first_one_without_a_schema_stay_undecoded(setup: Setup) -> None:
    setup.add(batch := Batch(), plain("a"), avro("b"), plain("c"), b"{")
    assert (uids(batch), len(batch.undecoded), batch.dead_letters) == (["a"], 3, [])
    assert (len(batch), batch.next_offsets) == (4, {P0: 4})


def test_a_batch_with_an_undecoded_record_is_submitted(setup: Setup) -> None:
    setup.add(batch := Batch(), plain("a"))
    assert not batch.must_submit(batch_limits())
    setup.add(batch, avro("b"))
    assert batch.must_submit(batch_limits())


def test_undecoded_records_are_decoded_in_order_once_the_schema_is_loaded(setup: Setup) -> None:
    setup.add(batch := Batch(), plain("a"), avro("b"), b"{", b"null", plain("c"))
    setup.decode(batch)
    assert (uids(batch), setup.registry_up) == (["a"], [True])
    setup.decode(batch)
    assert (uids(batch), [*batch.message_flags], batch.tombstones) == (["a", "b", "c"], [0, 0, 1, 0], 1)
    assert not batch.undecoded
    assert batch.formats_decoded_later == ["confluent", "json"]


def test_the_next_batch_is_decoded_at_once(setup: Setup) -> None:
    setup.add(batch := Batch(), avro("a"))
    setup.decode(batch)
    setup.add(batch := Batch(), avro("b"))
    assert (uids(batch), len(batch.undecoded)) == (["b"], 0)


def test_an_outage_of_the_registry_changes_nothing(setup: Setup) -> None:
    setup.add(batch := Batch(), avro("a"))
    setup.problem = RegistryUnavailable("connection refused")
    with pytest.raises(RegistryUnavailable):
        setup.decode(batch)
    assert (len(batch.undecoded), batch.dead_letters, setup.registry_up) == (1, [], [False])


def test_an_unknown_schema_is_dead_lettered_after_some_attempts(setup: Setup) -> None:
    setup.add(batch := Batch(), avro("a", schema_id=99))
    with pytest.raises(SchemaUnknown):
        setup.decode(batch)
    setup.decode(batch)
    setup.decode(batch)
    (dead_letter,) = batch.dead_letters
    assert dead_letter.reason is Reason.UNDECODABLE
    assert dead_letter.detail == "Confluent wire format, schema id 99: the registry does not know the schema"
    assert setup.registry_up == [True, True]


def test_records_of_a_revoked_partition_are_not_decoded(setup: Setup) -> None:
    batch = Batch()
    setup.add(batch, avro("a"), partition=0)
    setup.add(batch, b"{", partition=1)
    batch.drop(frozenset({P0, P1}))
    setup.problem = RegistryUnavailable("connection refused")
    setup.decode(batch)
    assert (uids(batch), len(batch.undecoded), batch.dead_letters) == ([], 0, [])
    assert setup.registry_up == []


def test_a_revoked_partition_no_longer_waits_for_the_registry(setup: Setup) -> None:
    setup.add(batch := Batch(), avro("a"))
    setup.problem = RegistryUnavailable("connection refused")
    with pytest.raises(RegistryUnavailable):
        setup.decode(batch)
    batch.drop(frozenset({P0}))
    setup.decode(batch)
    assert setup.registry_up == [False, None]
    setup.decode(batch)
    assert setup.registry_up == [False, None]


@pytest.mark.parametrize(
    ("make", "detail"),
    [
        (lambda: framed(1, b"\x02"), "Confluent wire format, schema id 1: Avro bytes do not match the schema"),
        (lambda: avro(""), "Confluent wire format, schema id 1; order_uid: Expected str of length >= 1"),
    ],
)
def test_a_bad_message_names_its_format_and_schema(setup: Setup, make: Callable[[], bytes], detail: str) -> None:
    setup.add(batch := Batch(), make())
    setup.decode(batch)
    setup.decode(batch)
    assert [each.detail.startswith(detail) for each in batch.dead_letters] == [True]


def test_a_guid_in_a_header_names_the_schema_of_an_unframed_value(setup: Setup) -> None:
    header = (ID_HEADER, b"\x01" + bytes(15) + b"\x07")
    setup.add(batch := Batch(), AVRO(order_document()), headers=[header])
    for _ in range(3):
        try:
            setup.decode(batch)
        except SchemaUnknown:
            continue
    (dead_letter,) = batch.dead_letters
    assert "schema GUID 00000000-0000-0000-0000-000000000007" in dead_letter.detail
