"""Replays dead letters that a user has selected, one of them possibly edited, and reports on each.

The rules of every replay apply: see `replay.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from service.entities.dead_letter_record import DeadLetterId, DeadLetterRecord
from service.entities.subscription import Subscription
from service.errors import KafkaRequestFailed, TooManyDeadLetters
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.ports.dead_letters import DeadLetterFilters
from service.usecases.ports.replay import (
    OfOrder,
    ReadUid,
    ReplayRefusal,
    ReplayRequest,
    ReplayResult,
    ReplaySource,
    ReplayTarget,
    Selected,
)
from service.usecases.replay import Replay, ReplayPlan

MAX_SELECTED: Final = 100
"""Dead letters of one request."""
MIN_RATE: Final = 10.0
"""Dead letters per second: MAX_SELECTED of them take at most ten seconds."""
MAX_SELECTED_BYTES: Final = 8 * 2**20
"""Values in the memory of the API at a time, which the client holds a second time."""


@dataclass(frozen=True, slots=True)
class _Results:
    """Implements usecases.ports.replay.ReplayObserver."""

    collected: list[ReplayResult] = field(default_factory=list)

    def on_sent(self, dead_letter: DeadLetterRecord) -> None:
        self.collected.append(ReplayResult(dead_letter.id, None))

    def on_refused(self, dead_letter: DeadLetterId, refusal: ReplayRefusal) -> None:
        self.collected.append(ReplayResult(dead_letter, refusal))


def replay_selected(
    request: ReplayRequest,
    subscription: Subscription,
    source: ReplaySource,
    target: ReplayTarget,
    stop: ShutdownEvent,
    read_uid: ReadUid,
) -> Sequence[ReplayResult]:
    """Block until the dead letters are sent, or would be in a dry run; return the results in the order of the request.

    Raises TooManyDeadLetters, and KafkaRequestFailed, also if `stop` was set before all were read.
    """
    selected = _find(request.which, source)
    _raise_if_timed_out(stop)
    plan = ReplayPlan(
        subscription,
        DeadLetterFilters(),
        read_uid=read_uid,
        max_replays=request.max_replays,
        rate=request.rate,
        named=selected,
        edited=request.edited,
        max_chunk_bytes=MAX_SELECTED_BYTES,
    )
    results = _Results()
    replay = Replay(plan, source, results, stop)
    if request.is_dry_run:
        replay.preview()
    else:
        replay.run(target)
    _raise_if_timed_out(stop)
    place = {each: number for number, each in enumerate(selected)}
    return sorted(results.collected, key=lambda result: place[result.dead_letter])


def _find(which: Selected | OfOrder, source: ReplaySource) -> Sequence[DeadLetterId]:
    match which:
        case Selected(dead_letters):
            return [*dict.fromkeys(dead_letters)]
        case OfOrder(order_uid):
            found = sorted(islice(source.find_order(order_uid), MAX_SELECTED + 1))
            if len(found) > MAX_SELECTED:
                raise TooManyDeadLetters(MAX_SELECTED)
            return found


def _raise_if_timed_out(stop: ShutdownEvent) -> None:
    if stop.is_set():
        raise KafkaRequestFailed("the dead-letter topic cannot be read in time")
