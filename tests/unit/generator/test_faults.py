"""The decoder rejects each fault of the catalog for the documented reason."""

import random
from datetime import UTC, datetime

import pytest

from generator.faults import CATALOG, FULL_CATALOG, MAX_VALUE_BYTES, Fault
from generator.orders import Orders
from generator.stream import Plan
from service.entities.dead_letter import Reason
from service.entities.record import Record
from service.errors import DocumentRejected
from service.handler.kafka.consumer.formats.content import is_tombstone
from service.handler.kafka.consumer.formats.message_decoder import MessageDecoder
from tests.kit.decoding import message_decoder

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SEEDS = range(3)


def value_of(fault: Fault, seed: int) -> bytes:
    source = random.Random(seed).random  # noqa: S311
    return fault.make(Orders(source, Plan.until).draw(), source)


@pytest.fixture(scope="module")
def decoder() -> MessageDecoder:
    return message_decoder(now=lambda: NOW)


@pytest.mark.parametrize("fault", FULL_CATALOG, ids=lambda fault: fault.name)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_fault_is_rejected_for_its_reason_and_names_its_field(
    decoder: MessageDecoder, fault: Fault, seed: int
) -> None:
    with pytest.raises(DocumentRejected) as rejected:
        decoder.decode(Record("orders", 0, 0, 0, None, value_of(fault, seed), None))
    assert rejected.value.reason == fault.reason
    if fault.field:
        assert fault.field in {violation.path for violation in rejected.value.violations}


@pytest.mark.parametrize("fault", FULL_CATALOG, ids=lambda fault: fault.name)
def test_a_fault_is_not_a_tombstone(fault: Fault) -> None:
    assert not is_tombstone(value_of(fault, 1))


def test_faults_have_unique_names() -> None:
    assert len({fault.name for fault in FULL_CATALOG}) == len(FULL_CATALOG) >= 100


def test_only_faults_outside_the_default_mix_are_larger_than_the_limit() -> None:
    assert all(len(value_of(fault, 1)) <= MAX_VALUE_BYTES for fault in CATALOG)
    too_large = [fault for fault in FULL_CATALOG if fault not in CATALOG]
    assert {fault.reason for fault in too_large} == {Reason.TOO_LARGE}
    assert min(len(value_of(fault, 1)) for fault in too_large) == MAX_VALUE_BYTES + 1
