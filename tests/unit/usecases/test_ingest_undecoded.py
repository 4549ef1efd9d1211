"""Ingest decodes what the reading thread could not, and waits for the schema registry."""

import pytest

from service.errors import RegistryUnavailable, SchemaUnknown, Stopped
from service.usecases.batch import Batch
from tests.kit.factories import record
from tests.kit.ingest import Setup, batch_of
from tests.kit.policies import retry_backoff

AWAY = RegistryUnavailable("connection refused")
UNKNOWN = SchemaUnknown("schema id 7 is unknown")


class Decode:
    """Raises these problems in turn; None: decodes one record."""

    def __init__(self, *problems: RegistryUnavailable | None) -> None:
        self._problems = [*problems]

    def __call__(self, batch: Batch) -> None:
        problem = self._problems.pop(0)
        if problem:
            raise problem
        batch.undecoded.popleft()
        batch.add_order(batch_of(1).orders[0])


def undecoded(count: int) -> Batch:
    batch = Batch()
    for offset in range(count):
        batch.track(record(offset))
        batch.undecoded.append(record(offset))
    return batch


def test_records_are_decoded_before_the_batch_is_stored() -> None:
    setup = Setup(decode=Decode(None, None))
    setup.ingest(undecoded(2))
    assert setup.store.calls == [2]


def test_an_outage_of_the_registry_is_retried_even_if_stores_may_be_given_up() -> None:
    decode = Decode(*[AWAY] * 5, None)
    setup = Setup(decode=decode, backoff=retry_backoff(initial_backoff=0.001, max_backoff=0.001, give_up_after=0.0001))
    outcome = setup.ingest(undecoded(1))
    assert (setup.store.calls, outcome.dead_letters, setup.dead_letters.sent) == ([1], [], [])
    assert setup.retried == [("RegistryUnavailable", attempt) for attempt in range(1, 6)]
    assert setup.recovered == ["RegistryUnavailable"]
    assert all(setup.was_waiting_to_retry)


def test_each_schema_has_retries_of_its_own() -> None:
    setup = Setup(decode=Decode(UNKNOWN, UNKNOWN, None, UNKNOWN, None))
    setup.ingest(undecoded(2))
    assert setup.retried == [("SchemaUnknown", 1), ("SchemaUnknown", 2), ("SchemaUnknown", 1)]


def test_a_stop_ends_the_wait_for_the_registry() -> None:
    setup = Setup(decode=Decode(*[AWAY] * 3))
    setup.before_retry = setup.stop.set
    with pytest.raises(Stopped):
        setup.ingest(undecoded(1))
    assert (setup.store.calls, setup.dead_letters.sent) == ([], [])


def test_without_a_registry_undecoded_records_are_an_error() -> None:
    with pytest.raises(ValueError, match="1 records are undecoded"):
        Setup().ingest(undecoded(1))
