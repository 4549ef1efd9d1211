"""What `orders dlq replay` prints: a line for each dead letter, if they are few, and their numbers."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from service.entities.dead_letter_record import DeadLetterId, DeadLetterRecord
from service.pkg.output import Echo
from service.usecases.ports.replay import ReplayRefusal

_HINTS: Final = {ReplayRefusal.REPLAYED_TOO_OFTEN: ": see --max-replays"}


@dataclass(frozen=True)
class ReplayReport:
    """Implements usecases.ports.replay.ReplayObserver.

    Prints a line for each dead letter if `lists_each`; a replay always prints those that it refused.
    """

    echo: Echo
    is_dry_run: bool
    lists_each: bool
    sent: Counter[str] = field(default_factory=Counter)
    """Number of dead letters by reason."""
    refused: Counter[str] = field(default_factory=Counter)
    """Number of dead letters by refusal."""

    def on_sent(self, dead_letter: DeadLetterRecord) -> None:
        self.sent[dead_letter.reason] += 1
        if self.lists_each:
            self.echo(self._line("sent", dead_letter.id, f"({dead_letter.reason})"))

    def on_refused(self, dead_letter: DeadLetterId, refusal: ReplayRefusal) -> None:
        text = f"{refusal.text}{_HINTS.get(refusal, '')}"
        self.refused[text] += 1
        if self.lists_each or not self.is_dry_run:
            self.echo(self._line("refused", dead_letter, text))

    def print_numbers(self) -> None:
        """Print a line for each reason and each refusal, and the number of all that were sent."""
        for reason, count in sorted(self.sent.items()):
            self.echo(f"{count:>10,}  {reason}")
        for refusal, count in sorted(self.refused.items()):
            self.echo(f"{count:>10,}  refused: {refusal}")
        self.echo(f"{self.sent.total():>10,}  {self._would_be}sent")

    @property
    def _would_be(self) -> str:
        return "would be " if self.is_dry_run else ""

    def _line(self, verb: str, dead_letter: DeadLetterId, why: str) -> str:
        return f"{self._would_be}{verb}: {dead_letter} {why}"
