"""Orders are erased. An erasure is undone or forgotten only if that neither loses nor restores an order by mistake."""

from collections.abc import Collection, Sequence
from math import inf

import pytest

from service.errors import CommandFailed, KafkaUnavailable, RecordsRetained, Stopped
from service.usecases.erase import ErasureState, UndoResult, erase, forget, preview, undo
from tests.kit.fakes import FakeErasureStore, FakeOrderRecords

DAY_SECONDS = 86_400


class BusyErasureStore(FakeErasureStore):
    """Records of `arriving` arrive while erasures are undone."""

    def __init__(self, records: FakeOrderRecords, arriving: str, *, erased: str) -> None:
        super().__init__(erased=erased)
        self._records = records
        self._arriving = arriving

    def undo(self, uids: Sequence[str]) -> None:
        super().undo(uids)
        for uid in self._arriving:
            self._records.produce(uid)


def test_a_preview_gives_the_state_of_each_order_and_erases_none() -> None:
    store = FakeErasureStore(stored="ab", erased="bc")
    stored, erased, unknown = ErasureState.STORED, ErasureState.ERASED, ErasureState.NOT_STORED
    assert preview([*"abcd"], store) == {"a": stored, "b": stored, "c": erased, "d": unknown}
    assert (store.stored, store.erased) == ({*"ab"}, {*"bc"})


def test_an_erasure_returns_which_orders_were_stored() -> None:
    store = FakeErasureStore(stored="ab")
    assert erase(["a", "c"], store) == {"a": ErasureState.ERASED, "c": ErasureState.NOT_STORED}
    assert (store.stored, store.erased) == ({"b"}, {"a", "c"})


def test_an_erasure_of_an_order_without_records_is_undone() -> None:
    store = FakeErasureStore(erased="ab")
    assert undo(["a"], store, FakeOrderRecords("b", "c")) == UndoResult({"a"}, {}, {})
    assert store.erased == {"b"}


def test_an_order_with_existing_records_remains_erased_and_the_first_one_is_returned() -> None:
    store = FakeErasureStore(erased="ab")
    existing = {"a": "orders, partition 0, offset 1"}
    assert undo(["a", "b"], store, FakeOrderRecords("c", "a", "a")) == UndoResult({"a", "b"}, existing, {})
    assert store.erased == {"a"}


def test_the_record_of_an_undone_order_that_arrived_during_the_undo_is_returned() -> None:
    records = FakeOrderRecords("b")
    store = BusyErasureStore(records, arriving="abc", erased="ab")
    arrived = {"a": "orders, partition 0, offset 1"}
    existing = {"b": "orders, partition 0, offset 0"}
    assert undo(["a", "b", "c"], store, records) == UndoResult({"a", "b"}, existing, arrived)
    assert store.erased == {"b"}


@pytest.mark.parametrize("error", [KafkaUnavailable("Kafka is unreachable"), Stopped("stopped")])
def test_an_undo_that_cannot_look_for_later_records_says_what_it_has_done(error: Exception) -> None:
    class FailingRecords(FakeOrderRecords):
        def find(self, uids: Collection[str]) -> dict[str, str]:
            if not store.erased:
                raise error
            return super().find(uids)

    store = FakeErasureStore(erased="a")
    with pytest.raises(CommandFailed) as raised:
        undo(["a", "b"], store, FailingRecords("c"))
    assert str(raised.value).startswith(f"1 of 2 erasures were undone, but reading the topic again failed: {error}. ")
    assert "run `orders rewind`" in str(raised.value)


def test_records_of_an_order_that_is_not_erased_prevent_nothing() -> None:
    store = FakeErasureStore(stored="a", erased="b")
    assert undo(["a"], store, FakeOrderRecords("a")) == UndoResult(set(), {}, {})
    assert (store.stored, store.erased) == ({"a"}, {"b"})


@pytest.fixture
def old_and_recent() -> FakeErasureStore:
    return FakeErasureStore(erased="ab", ages_seconds={"a": 41 * DAY_SECONDS, "b": 39 * DAY_SECONDS})


@pytest.mark.parametrize("max_age", [41 * DAY_SECONDS, inf])
@pytest.mark.parametrize("is_dry_run", [True, False])
def test_erasures_are_kept_while_a_topic_may_have_older_records(
    old_and_recent: FakeErasureStore, max_age: float, *, is_dry_run: bool
) -> None:
    ages = {"orders.dlq": DAY_SECONDS, "orders": max_age}
    with pytest.raises(RecordsRetained, match=r"^orders keeps records"):
        forget(40 * DAY_SECONDS, old_and_recent, ages, is_dry_run=is_dry_run)
    assert old_and_recent.erased == {*"ab"}


@pytest.mark.parametrize(("is_dry_run", "left"), [(True, "ab"), (False, "b")])
def test_erasures_older_than_every_record_are_forgotten(
    old_and_recent: FakeErasureStore, left: str, *, is_dry_run: bool
) -> None:
    ages = {"orders.dlq": DAY_SECONDS, "orders": 40 * DAY_SECONDS}
    assert forget(40 * DAY_SECONDS, old_and_recent, ages, is_dry_run=is_dry_run) == 1
    assert old_and_recent.erased == {*left}


def test_the_result_of_an_undo_tells_the_state_and_the_record_of_each_order() -> None:
    result = UndoResult({*"abc"}, existing={"a": "orders, partition 0, offset 1"}, arrived={"b": "orders, offset 2"})
    assert [result.state(uid) for uid in "abcd"] == [
        ErasureState.ERASED, ErasureState.UNDONE, ErasureState.UNDONE, ErasureState.NOT_ERASED,
    ]  # fmt: skip
    assert [result.record(uid) for uid in "abcd"] == ["orders, partition 0, offset 1", "orders, offset 2", None, None]
