"""Erases orders, and undoes and forgets erasures without losing or restoring an order by mistake."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from service.errors import CommandFailed, KafkaRequestFailed, RecordsRetained, Stopped
from service.usecases.ports.operations import ErasureStore, OrderRecords


class ErasureState(StrEnum):
    STORED = "stored"
    ERASED = "erased"
    NOT_STORED = "not-stored"
    """Consumers skip, or would skip, later messages of the order."""
    UNDONE = "undone"
    NOT_ERASED = "not-erased"


class UndoResult(NamedTuple):
    """Coordinates of records, by order: `existing` ones are older than the undo, `arrived` ones came during it."""

    erased: set[str]
    existing: Mapping[str, str]
    arrived: Mapping[str, str]

    def state(self, uid: str) -> ErasureState:
        if uid not in self.erased:
            return ErasureState.NOT_ERASED
        return ErasureState.ERASED if uid in self.existing else ErasureState.UNDONE

    def record(self, uid: str) -> str | None:
        """Return the coordinates of the order's record; None if there is none."""
        return self.existing.get(uid) or self.arrived.get(uid)


def preview(uids: Sequence[str], store: ErasureStore) -> dict[str, ErasureState]:
    """Return the state of each order before it is erased."""
    status = store.status(uids)

    def state(uid: str) -> ErasureState:
        if uid in status.stored:  # first, because an earlier release may have stored an erased order
            return ErasureState.STORED
        return ErasureState.ERASED if uid in status.erased else ErasureState.NOT_STORED

    return {uid: state(uid) for uid in uids}


def erase(uids: Sequence[str], store: ErasureStore) -> dict[str, ErasureState]:
    """Erase these orders; return whether each one was stored."""
    stored = store.erase(uids)
    return {uid: ErasureState.ERASED if uid in stored else ErasureState.NOT_STORED for uid in uids}


def undo(uids: Sequence[str], store: ErasureStore, records: OrderRecords) -> UndoResult:
    """Undo erasures of orders without records: existing records may have been skipped and would not be read again.

    Raises CommandFailed if the search for records that arrived in the meantime fails: a repetition would not find out.
    """
    erased = store.status(uids).erased
    existing = records.find(erased)
    undoable = [uid for uid in uids if uid in erased and uid not in existing]
    store.undo(undoable)
    try:
        return UndoResult(erased, existing, records.find(undoable))
    except (KafkaRequestFailed, Stopped) as error:
        raise CommandFailed(
            f"{len(undoable):,} of {len(uids):,} erasures were undone, but reading the topic again failed: {error}. "
            "Records that arrived in the meantime may have been skipped: run `orders rewind` to read them again"
        ) from None


def forget(
    older_than_seconds: float, store: ErasureStore, max_record_ages: Mapping[str, float], *, is_dry_run: bool
) -> int:
    """Forget erasures older than this, unless it is a dry run; return how many.

    The ages are in seconds, by topic; infinite if the topic keeps records forever.
    Raises RecordsRetained if a topic may still have a record that would restore an order.
    """
    for topic, max_age in max_record_ages.items():
        if max_age > older_than_seconds:
            raise RecordsRetained(topic, max_age)
    return store.count_older_than(older_than_seconds) if is_dry_run else store.forget_older_than(older_than_seconds)
