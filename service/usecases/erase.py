"""Undoes and forgets erasures of orders, without losing or restoring an order by mistake."""

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from service.errors import ErasuresStillNeeded
from service.usecases.ports import ErasureStore, OrderRecords

_DAY_SECONDS: Final = 86_400


class UndoResult(NamedTuple):
    """Coordinates of records, by order: `existing` ones are older than the undo, `arrived` ones came during it."""

    erased: set[str]
    existing: Mapping[str, str]
    arrived: Mapping[str, str]


def undo(uids: Sequence[str], store: ErasureStore, records: OrderRecords) -> UndoResult:
    """Undo erasures of orders without records: existing records may have been skipped and would not be read again."""
    erased = store.status(uids).erased
    existing = records.find(erased)
    undoable = [uid for uid in uids if uid in erased and uid not in existing]
    store.undo(undoable)
    return UndoResult(erased, existing, records.find(undoable))


def require_no_older_records(older_than_seconds: float, max_record_ages: Mapping[str, float]) -> None:
    """Raise ErasuresStillNeeded if a topic may still have a record that would restore an order.

    The ages are in seconds, by topic; infinite if the topic keeps records forever.
    """
    for topic, max_age in max_record_ages.items():
        if max_age > older_than_seconds:
            retained = "forever" if math.isinf(max_age) else f"for up to {max_age / _DAY_SECONDS:g} days"
            raise ErasuresStillNeeded(
                f"--forget-older-than is too short: {topic} keeps records {retained}, which would restore orders"
            )
