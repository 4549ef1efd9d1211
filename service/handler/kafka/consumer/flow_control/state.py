"""The state of a consumer, and the changes that it allows."""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from service.handler.kafka.consumer.flow_control.breaker_pause import BreakerPause
from service.handler.kafka.consumer.flow_control.fetch import FetchControl
from service.usecases.circuit_breaker import BreakerState


class ConsumerState(Enum):
    RUNNING = "running"
    """One batch is filled while the previous one is written."""
    WAITING_FOR_STORE = "waiting for the store"
    """A full batch waits for the end of an outage. Fetching is paused, and polling continues."""
    BREAKER_OPEN = "circuit breaker open"
    """Messages are ignored until the pause of the circuit breaker ends."""
    PROBING = "probing"
    """A few messages are tried, to find out whether the circuit breaker can close."""


TRANSITIONS: Final[Mapping[ConsumerState, frozenset[ConsumerState]]] = {
    ConsumerState.RUNNING: frozenset({ConsumerState.WAITING_FOR_STORE, ConsumerState.BREAKER_OPEN}),
    ConsumerState.WAITING_FOR_STORE: frozenset(
        {ConsumerState.RUNNING, ConsumerState.PROBING, ConsumerState.BREAKER_OPEN}
    ),
    ConsumerState.BREAKER_OPEN: frozenset({ConsumerState.PROBING, ConsumerState.RUNNING}),
    ConsumerState.PROBING: frozenset(
        {ConsumerState.RUNNING, ConsumerState.WAITING_FOR_STORE, ConsumerState.BREAKER_OPEN}
    ),
}
FETCHING: Final = frozenset({ConsumerState.RUNNING, ConsumerState.PROBING})
"""States in which messages are fetched. Fetching is paused in the others."""


class ConsumerStateMachine:
    """Owns the state, and pauses and resumes fetching as it requires. Belongs to the reading thread."""

    def __init__(self, fetch: FetchControl) -> None:
        self.current = ConsumerState.RUNNING
        self.breaker_pause: BreakerPause | None = None
        """Set in BREAKER_OPEN, and None in every other state."""
        self.breaker = BreakerState.CLOSED
        """The circuit breaker's state after the last finished batch."""
        self._fetch = fetch

    @property
    def next_batch_is_probe(self) -> bool:
        """Whether the circuit breaker has yet to close."""
        return self.breaker is not BreakerState.CLOSED

    @property
    def must_reread(self) -> bool:
        """Whether messages before the position of a partition have yet to be read again."""
        return self.next_batch_is_probe or self.breaker_pause is not None

    def resume_fetching(self) -> None:
        """Fetch messages: for a probe if the circuit breaker is open."""
        self._become(ConsumerState.PROBING if self.next_batch_is_probe else ConsumerState.RUNNING)

    def wait_for_outage(self) -> None:
        self._become(ConsumerState.WAITING_FOR_STORE)

    def open_breaker(self, pause: BreakerPause) -> None:
        self._become(ConsumerState.BREAKER_OPEN, pause)

    def _become(self, state: ConsumerState, pause: BreakerPause | None = None) -> None:
        """Change the state, or only the pause. Raises ValueError for a change that is not in TRANSITIONS."""
        if state is not self.current and state not in TRANSITIONS[self.current]:
            raise ValueError(f"a consumer that is {self.current.value} cannot become {state.value}")
        self.breaker_pause = pause
        if state is self.current:
            return
        self.current = state
        if state in FETCHING:
            self._fetch.resume()
        else:
            self._fetch.pause()
