"""The state of a consumer, and the changes that it allows."""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from service.handler.kafka.consumer.flow_control.breaker_pause import BreakerPause
from service.handler.kafka.consumer.flow_control.fetch import FetchControl


class ConsumerState(Enum):
    RUNNING = "running"
    """One batch is filled while the previous one is written."""
    WAITING_FOR_STORE = "waiting for the store"
    """A full batch waits for the end of an outage. Fetching is paused, and polling continues."""
    BREAKER_OPEN = "paused by the circuit breaker"
    """Messages are skipped until the pause of the circuit breaker ends."""
    PROBING = "probing"
    """A few messages are tried, to find out whether the circuit breaker can close."""
    PROBE_WAITING_FOR_STORE = "waiting for the store with a probe"
    """As WAITING_FOR_STORE, while the circuit breaker is open."""
    REREADING = "about to reread"
    """The circuit breaker has closed. Messages are skipped until reading continues at the first held-back one."""


class ConsumerEvent(Enum):
    SUBMIT = "submit a batch"
    END_PAUSE = "end a pause"
    """The time of a pause is over."""
    OUTAGE = "wait for the store"
    COMMIT = "commit a batch"
    """A batch was committed. Closes the circuit breaker if it was a probe."""
    OPEN = "open the circuit breaker"
    REREAD = "reread"
    """A probe was stored, although the database had rejected the orders before it."""


TRANSITIONS: Final[Mapping[ConsumerEvent, Mapping[ConsumerState, ConsumerState]]] = {
    ConsumerEvent.SUBMIT: {
        ConsumerState.RUNNING: ConsumerState.RUNNING,
        ConsumerState.WAITING_FOR_STORE: ConsumerState.RUNNING,
        ConsumerState.PROBING: ConsumerState.PROBING,
        ConsumerState.PROBE_WAITING_FOR_STORE: ConsumerState.PROBING,
    },
    ConsumerEvent.END_PAUSE: {
        ConsumerState.BREAKER_OPEN: ConsumerState.PROBING,
        ConsumerState.REREADING: ConsumerState.RUNNING,
    },
    ConsumerEvent.OUTAGE: {
        ConsumerState.RUNNING: ConsumerState.WAITING_FOR_STORE,
        ConsumerState.PROBING: ConsumerState.PROBE_WAITING_FOR_STORE,
    },
    ConsumerEvent.COMMIT: {
        ConsumerState.RUNNING: ConsumerState.RUNNING,
        ConsumerState.WAITING_FOR_STORE: ConsumerState.WAITING_FOR_STORE,
        ConsumerState.PROBING: ConsumerState.RUNNING,
        ConsumerState.PROBE_WAITING_FOR_STORE: ConsumerState.WAITING_FOR_STORE,
    },
    ConsumerEvent.OPEN: {
        ConsumerState.RUNNING: ConsumerState.BREAKER_OPEN,
        ConsumerState.WAITING_FOR_STORE: ConsumerState.BREAKER_OPEN,
        ConsumerState.PROBING: ConsumerState.BREAKER_OPEN,
        ConsumerState.PROBE_WAITING_FOR_STORE: ConsumerState.BREAKER_OPEN,
    },
    ConsumerEvent.REREAD: {
        ConsumerState.PROBING: ConsumerState.REREADING,
        ConsumerState.PROBE_WAITING_FOR_STORE: ConsumerState.REREADING,
    },
}
FETCHING: Final = frozenset({ConsumerState.RUNNING, ConsumerState.PROBING})
"""States in which messages are fetched. Fetching is paused in the others."""
BREAKER_IS_OPEN: Final = frozenset(
    {ConsumerState.BREAKER_OPEN, ConsumerState.PROBING, ConsumerState.PROBE_WAITING_FOR_STORE}
)
"""States in which the circuit breaker is open: the next batch is a probe."""


class ConsumerStateMachine:
    """Owns the state, and pauses and resumes fetching as it requires.

    Each method raises ValueError if TRANSITIONS does not allow the change.
    """

    def __init__(self, fetch: FetchControl) -> None:
        self.current = ConsumerState.RUNNING
        self.breaker_pause: BreakerPause | None = None
        """Set in BREAKER_OPEN and REREADING, and None in every other state."""
        self._fetch = fetch

    @property
    def is_fetching(self) -> bool:
        return self.current in FETCHING

    @property
    def is_breaker_open(self) -> bool:
        return self.current in BREAKER_IS_OPEN

    def on_submit(self) -> None:
        """Record that a batch is written: the next one can be filled."""
        self._on(ConsumerEvent.SUBMIT)

    def end_pause(self) -> None:
        """Fetch messages: for a probe if the circuit breaker is open."""
        self._on(ConsumerEvent.END_PAUSE)

    def wait_for_store(self) -> None:
        self._on(ConsumerEvent.OUTAGE)

    def on_commit(self) -> None:
        """Record a committed batch. Closes the circuit breaker if it was a probe."""
        self._on(ConsumerEvent.COMMIT)

    def open_breaker(self, pause: BreakerPause) -> None:
        self._on(ConsumerEvent.OPEN, pause)

    def reread(self, pause: BreakerPause) -> None:
        """Close the circuit breaker. The messages that it held back are read again."""
        self._on(ConsumerEvent.REREAD, pause)

    def _on(self, event: ConsumerEvent, pause: BreakerPause | None = None) -> None:
        state = TRANSITIONS[event].get(self.current)
        if state is None:
            raise ValueError(f"a consumer that is {self.current.value} cannot {event.value}")
        self.current, self.breaker_pause = state, pause
        if self.is_fetching:
            self._fetch.resume()
        else:
            self._fetch.pause()
