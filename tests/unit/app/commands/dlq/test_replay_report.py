"""A replay prints lines for few dead letters and for refusals, and always the numbers."""

import pytest

from service.app.commands.dlq.replay_report import ReplayReport
from service.entities.dead_letter_headers import Header
from service.entities.dead_letter_record import DeadLetterRecord
from service.usecases.ports.replay import ReplayRefusal

NUMBERS = [
    "         1  invalid",
    "         1  rejected",
    "         1  refused: is a stub: its original was too large for the dead-letter topic",
]


def dead_letter(offset: int, reason: bytes = b"invalid") -> DeadLetterRecord:
    return DeadLetterRecord(2, offset, 1_000, b"key", b"value", [(Header.REASON, reason)])


@pytest.mark.parametrize(
    ("is_dry_run", "lists_each", "lines", "total"),
    [
        (False, False, [f"refused: partition 2, offset 9 {ReplayRefusal.STUB.text}"], "         2  sent"),
        (True, False, [], "         2  would be sent"),
        (
            False,
            True,
            [
                "sent: partition 2, offset 7 (invalid)",
                "sent: partition 2, offset 8 (rejected)",
                f"refused: partition 2, offset 9 {ReplayRefusal.STUB.text}",
            ],
            "         2  sent",
        ),
        (
            True,
            True,
            [
                "would be sent: partition 2, offset 7 (invalid)",
                "would be sent: partition 2, offset 8 (rejected)",
                f"would be refused: partition 2, offset 9 {ReplayRefusal.STUB.text}",
            ],
            "         2  would be sent",
        ),
    ],
)
def test_a_report_has_the_lines_that_are_asked_for_and_the_numbers(
    lines: list[str], total: str, *, is_dry_run: bool, lists_each: bool
) -> None:
    printed: list[str] = []
    report = ReplayReport(printed.append, is_dry_run=is_dry_run, lists_each=lists_each)
    report.on_sent(dead_letter(7))
    report.on_sent(dead_letter(8, b"rejected"))
    report.on_refused(dead_letter(9).id, ReplayRefusal.STUB)
    report.print_numbers()
    assert printed == [*lines, *NUMBERS, total]


def test_a_dead_letter_that_was_replayed_too_often_names_the_option() -> None:
    printed: list[str] = []
    report = ReplayReport(printed.append, is_dry_run=False, lists_each=True)
    report.on_refused(dead_letter(9).id, ReplayRefusal.REPLAYED_TOO_OFTEN)
    assert printed == ["refused: partition 2, offset 9 was replayed too often: see --max-replays"]
