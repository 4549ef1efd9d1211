"""Interfaces that the replay of dead letters requires."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Final, NamedTuple, Protocol

from service.entities.dead_letter_record import DeadLetterId, DeadLetterRecord

DEFAULT_MAX_REPLAYS: Final = 3
"""A dead letter that was replayed this often is refused: it would come back again."""


class ReplayRefusal(Enum):
    """Why a dead letter is not replayed. `text` follows the dead letter's place in a sentence."""

    MISSING = "missing", "has no dead letter"
    STUB = "stub", "is a stub: its original was too large for the dead-letter topic"
    NO_ORIGIN = "no-origin", "has no origin headers"
    OTHER_TOPIC = "other-topic", "came from a topic that the consumers do not read"
    REPLAYED_TOO_OFTEN = "replayed-too-often", "was replayed too often"
    TOO_LARGE = "too-large", "exceeds max.message.bytes of its topic"
    OTHER_ORDER = "other-order", "belongs to another order than the edited value"
    UNREADABLE_ORDER = "unreadable-order", "is binary, so its order is unknown: replay it unchanged"

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        self.text = text


class ReplaySource(Protocol):
    """The dead-letter topic. Every method may block for seconds, and raises KafkaRequestFailed."""

    def read_new(self, since: datetime | None) -> Iterator[DeadLetterRecord]:
        """Yield the dead letters after the committed offsets, or else those that arrived since this time.

        Ends early on a stop.
        """

    def find(self, partition: int, offset: int) -> DeadLetterRecord | None:
        """Return the dead letter at this offset; None if there is none, and on a stop."""

    def find_order(self, order_uid: str) -> Iterator[DeadLetterId]:
        """Yield the places of the order's dead letters, by key and content. Ends early on a stop."""

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Commit the next offsets of this replay, by partition."""


class ReplayTarget(Protocol):
    """The topics that dead letters came from."""

    def send(self, dead_letters: Sequence[DeadLetterRecord]) -> Sequence[DeadLetterRecord]:
        """Send each to the topic of its origin. Block until all are acknowledged; return those that are too large.

        Raises KafkaRequestFailed.
        """


class ReplayObserver(Protocol):
    """Called for each dead letter of a replay, or of its preview, that matches the filters."""

    def on_sent(self, dead_letter: DeadLetterRecord) -> None:
        """Report a dead letter that the broker has acknowledged; in a preview, one that would be sent."""

    def on_refused(self, dead_letter: DeadLetterId, refusal: ReplayRefusal) -> None:
        """Report a dead letter that is not sent, or a named place that has none."""


ReadUid = Callable[[DeadLetterRecord], str | None]
"""Returns the `order_uid` that the consumer reads in a dead letter, valid or not; None if it cannot read it."""


class EditedValue(NamedTuple):
    """A valid document that is sent instead of a dead letter's value."""

    value: bytes
    order_uid: str


class Selected(NamedTuple):
    dead_letters: Sequence[DeadLetterId]


class OfOrder(NamedTuple):
    """All dead letters of one order."""

    order_uid: str


class ReplayRequest(NamedTuple):
    """Which dead letters to replay, and how.

    `replayed_by` is the name of the API key, or the user of the command. `rate` is in dead letters per second; 0 if
    unlimited.
    """

    which: Selected | OfOrder
    replayed_by: str
    max_replays: int
    edited: EditedValue | None = None
    is_dry_run: bool = False
    rate: float = 0


class ReplayResult(NamedTuple):
    """`refusal` is None if the dead letter was sent, or would be in a dry run."""

    dead_letter: DeadLetterId
    refusal: ReplayRefusal | None


class DeadLetterReplayer(Protocol):
    async def replay(self, request: ReplayRequest) -> Sequence[ReplayResult]:
        """Replay at most MAX_SELECTED dead letters; return a result for each.

        Raises TooManyDeadLetters before anything is sent, and KafkaRequestFailed, after which some may have been sent.
        """
