"""The invariants of erasures: what the commands report about an order is true."""

from collections.abc import Collection, Sequence

from service.entities.dead_letter_record import DeadLetterId
from tests.simulation.checker import Checker
from tests.simulation.database import Database
from tests.simulation.partition_log import Entry
from tests.simulation.violation import Violation


class ErasureChecker:
    def __init__(self, checker: Checker, database: Database) -> None:
        self._checker = checker
        self._database = database

    def on_acknowledged(self, uid: str) -> None:
        """Verify that an order is not stored when its erasure is acknowledged, unless it was undone since then."""
        if uid in self._database.erased and uid in self._database.orders:
            raise Violation(f"{uid} is erased, and stored")

    def verify_end(self) -> None:
        for uid in self._database.erased:
            self.on_acknowledged(uid)

    def dead_letters_of(self, uid: str) -> Sequence[tuple[int, Entry]]:
        """Return the dead letters that name an order."""
        readable = self._checker.dead_letters.readable
        return [(partition, entry) for partition, entry in readable if self._checker.names(entry, uid)]

    def verify_listed(self, before: Sequence[tuple[int, Entry]], listed: Collection[DeadLetterId]) -> None:
        """Verify that an erasure has listed these dead letters, unless they were deleted meanwhile."""
        present = {id(entry) for _, entry in self._checker.dead_letters.present}
        for partition, entry in before:
            if id(entry) in present and DeadLetterId(partition, entry.offset) not in listed:
                raise Violation(f"an erasure did not list the dead letter at {DeadLetterId(partition, entry.offset)}")

    def verify_undone(self, uid: str) -> None:
        """Verify that no record of the order was skipped if an undo reports none."""
        for partition, entry in self._checker.records.present:
            if self._checker.was_skipped(entry) and self._checker.names(entry, uid):
                raise Violation(f"an undo missed the record of {uid} at offset {entry.offset} of partition {partition}")
