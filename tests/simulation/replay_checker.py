"""The invariants of replays: what was committed or acknowledged is in the topic again, and nothing else is."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from service.entities.dead_letter_headers import Header
from service.entities.dead_letter_record import DeadLetterRecord
from service.usecases.ports.replay import DEFAULT_MAX_REPLAYS
from tests.simulation.checker import Checker
from tests.simulation.coordinator import Key, Offset
from tests.simulation.partition_log import Entry, State
from tests.simulation.topic_history import name_of
from tests.simulation.violation import Violation
from tests.simulation.workload import Item


class ReplayChecker:
    def __init__(self, checker: Checker) -> None:
        self._checker = checker
        self._edited: set[str] = set()
        """Orders of which someone has edited a dead letter."""

    # For the replays

    def readable(self) -> list[tuple[int, Entry]]:
        """Return the dead letters that someone sees, with their partitions."""
        return self._checker.dead_letters.readable

    def with_an_order(self) -> list[tuple[int, Entry]]:
        """Return those whose documents name their orders."""
        return [(partition, entry) for partition, entry in self.readable() if self.item(entry).kind.names_order]

    def item(self, entry: Entry) -> Item:
        return self._checker.item(name_of(entry))

    def on_edited(self, item: Item) -> None:
        """Expect that a valid document of its order is produced."""
        self._edited.add(item.uid)

    def to_send(self, reasons: Collection[str]) -> list[Entry]:
        """Return what a replay that begins now must send: the dead letters with these reasons, or all."""
        return [entry for _, entry in self.readable() if _matches(entry, reasons)]

    def to_send_of(self, uid: str) -> list[Entry]:
        """Return what a replay of an order that begins now must send."""
        return [entry for _, entry in self.with_an_order() if self.item(entry).uid == uid]

    # The invariants

    def on_commit(self, reasons: Collection[str], offsets: Mapping[Key, Offset]) -> None:
        """Verify that every dead letter before the offsets is sent, if it has one of these reasons."""
        for key, committed in offsets.items():
            log = self._checker.current_log(key, committed)
            for entry in log.entries[: max(committed.offset - log.start, 0)] if log else ():
                if entry.state is State.VISIBLE and _matches(entry, reasons):
                    self._verify_sent(entry, f"offset {committed.offset} of dead letters {key[1]} was committed")

    def verify_sent(self, entries: Iterable[Entry]) -> None:
        """Verify that a replay that has succeeded has sent these dead letters, unless they were deleted meanwhile."""
        present = {id(entry) for _, entry in self._checker.dead_letters.present}
        for entry in entries:
            if id(entry) in present:
                self._verify_sent(entry, "a replay succeeded")

    def on_acknowledged(self, dead_letters: Sequence[DeadLetterRecord]) -> None:
        """Verify that dead letters, as they were sent, are in the topic."""
        for each in dead_letters:
            sent = self._checker.records.named(each.origin.timestamp_ms, each.replays + 1) if each.origin else []
            if not any(entry.payload.value == each.value and entry.payload.key == each.key for entry in sent):
                raise Violation(f"the dead letter at {each.id} was acknowledged, but is not in the topic")

    def _verify_sent(self, dead_letter: Entry, what: str) -> None:
        timestamp, replays = name_of(dead_letter)
        if _is_refused(dead_letter):
            return
        sent = self._checker.records.named(timestamp, replays + 1)
        if not any(each.payload.value == dead_letter.payload.value for each in sent):
            raise Violation(f"{what}, but the dead letter of {self.item(dead_letter)} was not sent")

    def verify_end(self) -> None:
        """Verify that each replayed record was a dead letter, and is in the partition that it came from."""
        for partition, entry in self._checker.records.present:
            timestamp, replays = name_of(entry)
            if replays == 0:
                continue
            item = self.item(entry)
            dead_letters = self._checker.dead_letters.named(timestamp, replays - 1)
            values = [each.payload.value for each in dead_letters if not _is_refused(each)]
            if item.uid in self._edited and values:
                values.append(item.valid_value)
            if entry.payload.value not in values or partition != item.partition:
                raise Violation(
                    f"replay {replays} of {item} is in partition {partition}, but no such dead letter was sent"
                )


def _matches(entry: Entry, reasons: Collection[str]) -> bool:
    return not reasons or _headers(entry).get(Header.REASON) in {each.encode() for each in reasons}


def _is_refused(entry: Entry) -> bool:
    return Header.STUB in _headers(entry) or name_of(entry).replays >= DEFAULT_MAX_REPLAYS


def _headers(entry: Entry) -> dict[str, bytes | None]:
    return dict(entry.payload.headers or ())
