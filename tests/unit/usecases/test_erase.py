"""An erasure is undone or forgotten only if no order is lost or restored by it."""

from collections.abc import Collection, Sequence
from math import inf

import pytest

from service.errors import CommandError
from service.usecases.erase import UndoResult, require_no_older_records, undo
from service.usecases.ports import ErasureStatus

DAY_SECONDS = 86_400


class FakeStore:
    def __init__(self, erased: set[str]) -> None:
        self.erased = erased

    def status(self, uids: Sequence[str]) -> ErasureStatus:
        return ErasureStatus(set(), self.erased & {*uids})

    def undo(self, uids: Sequence[str]) -> None:
        self.erased -= {*uids}


class FakeRecords:
    """Coordinates of records by order: those that exist, and those that arrive during the undo."""

    def __init__(self, existing: dict[str, str], arriving: dict[str, str]) -> None:
        self._finds = iter((existing, arriving))

    def find(self, uids: Collection[str]) -> dict[str, str]:
        return {uid: coordinates for uid, coordinates in next(self._finds).items() if uid in uids}


def test_an_erasure_of_an_order_with_a_record_is_not_undone() -> None:
    store = FakeStore({"a", "b"})
    result = undo(["a", "b", "c"], store, FakeRecords({"a": "0/7"}, {}))
    assert result == UndoResult({"a", "b"}, {"a": "0/7"}, {})
    assert store.erased == {"a"}


def test_a_record_that_arrives_during_the_undo_is_returned() -> None:
    store = FakeStore({"a"})
    assert undo(["a"], store, FakeRecords({}, {"a": "0/8"})).arrived == {"a": "0/8"}
    assert store.erased == set()


@pytest.mark.parametrize("max_age", [41 * DAY_SECONDS, inf])
def test_erasures_are_kept_while_a_topic_may_have_older_records(max_age: float) -> None:
    with pytest.raises(CommandError, match="too short: orders keeps records"):
        require_no_older_records(40 * DAY_SECONDS, {"orders.dlq": DAY_SECONDS, "orders": max_age})


def test_erasures_older_than_every_record_may_be_forgotten() -> None:
    require_no_older_records(40 * DAY_SECONDS, {"orders.dlq": DAY_SECONDS, "orders": 40 * DAY_SECONDS})
