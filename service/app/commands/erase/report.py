"""What `orders erase` prints: the state of each order, and a table of the orders' dead letters."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from service.app.commands.dead_letter_text import table_by_order
from service.entities.dead_letter_record import DeadLetterRecord
from service.pkg.report import Report
from service.usecases.erase import ErasureState, UndoResult

_PREVIEWS: Final = {
    ErasureState.STORED: "stored, would be erased",
    ErasureState.ERASED: "already erased",
    ErasureState.NOT_STORED: "not stored, later messages would be skipped",
}
_RESULTS: Final = {
    ErasureState.ERASED: "erased",
    ErasureState.NOT_STORED: "was not stored, later messages will be skipped",
}


def report_preview(report: Report, states: Mapping[str, ErasureState]) -> None:
    _report_states(report, states, _PREVIEWS)


def report_erased(report: Report, states: Mapping[str, ErasureState]) -> None:
    _report_states(report, states, _RESULTS)


def report_undo(report: Report, uids: Sequence[str], result: UndoResult) -> None:
    report.add(orders=[_undo_fields(uid, result) for uid in uids])
    for uid in uids:
        report.line(f"{uid}: {_undo_text(uid, result)}")


def report_dead_letters(
    report: Report, searched: Iterable[tuple[DeadLetterRecord, str | None]], uids: Sequence[str], topic: str
) -> None:
    """Print the dead letters of these orders while they are found; `searched` are all, each with its order."""
    found: list[dict[str, Any]] = []
    for line in table_by_order(_append_found(searched, found), uids, topic):
        report.line(line)
    report.add(dead_letters=found)


def _report_states(report: Report, states: Mapping[str, ErasureState], texts: Mapping[ErasureState, str]) -> None:
    report.add(orders=[{"order_uid": uid, "state": state} for uid, state in states.items()])
    for uid, state in states.items():
        report.line(f"{uid}: {texts[state]}")


def _undo_fields(uid: str, result: UndoResult) -> dict[str, Any]:
    record = {"record": result.record(uid)} if uid in result.erased else {}
    return {"order_uid": uid, "state": result.state(uid)} | record


def _undo_text(uid: str, result: UndoResult) -> str:
    if uid not in result.erased:
        return "is not erased"
    if uid in result.existing:
        return f"not undone: the record at {result.existing[uid]} may have been skipped"
    if uid in result.arrived:
        return f"undone, but a new record has arrived at {result.arrived[uid]}"
    return "undone"


def _append_found(
    searched: Iterable[tuple[DeadLetterRecord, str | None]], found: list[dict[str, Any]]
) -> Iterator[tuple[DeadLetterRecord, str | None]]:
    """Yield all dead letters, and append to `found` those of an order."""
    for dead_letter, uid in searched:
        if uid is not None:
            coordinates = {"partition": dead_letter.partition, "offset": dead_letter.offset}
            found.append({"order_uid": uid, **coordinates, "reason": dead_letter.reason})
        yield dead_letter, uid
