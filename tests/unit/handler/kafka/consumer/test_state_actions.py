"""What the loop polls, submits and seeks in a state."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from service.handler.kafka.consumer.flow_control.state import ConsumerState
from service.handler.kafka.consumer.state_actions import IDLE_POLL_SECONDS, StateActions

CAPACITY = 7


@dataclass
class Consumer:
    """Records the calls of the actions. `arrivals`: how many messages each poll returns."""

    state: ConsumerState
    arrivals: Iterable[int]
    is_full: bool = False
    is_free: bool = True
    calls: list[object] = field(default_factory=list)

    def run(self) -> list[object]:
        """Run the actions of the state once; return their calls."""
        arrivals = iter(self.arrivals)

        def poll(messages: int, seconds: float) -> int:
            self.calls.append((messages, seconds))
            return next(arrivals)

        def submit() -> None:
            self.calls.append("submit")

        parts = SimpleNamespace(
            dispatcher=SimpleNamespace(poll=poll),
            pipeline=SimpleNamespace(capacity=CAPACITY, is_full=self.is_full, submit=submit),
            worker=SimpleNamespace(is_free=self.is_free, wait_finished=lambda _: self.calls.append("wait")),
            breaker=SimpleNamespace(restart_probe=dict),
            state=SimpleNamespace(current=self.state),
            assignment=SimpleNamespace(seek=lambda _: self.calls.append("seek")),
        )
        StateActions(**vars(parts)).run()
        return self.calls


def test_messages_that_have_arrived_are_submitted_at_once() -> None:
    assert Consumer(ConsumerState.RUNNING, [3]).run() == ["submit", (CAPACITY, 0), "submit"]


def test_a_poll_waits_only_if_nothing_has_arrived_and_nothing_is_written() -> None:
    idle = Consumer(ConsumerState.RUNNING, [0, 1])
    assert idle.run() == ["submit", (CAPACITY, 0), (1, IDLE_POLL_SECONDS), "submit"]
    writing = Consumer(ConsumerState.RUNNING, [0], is_free=False)
    assert writing.run() == ["submit", (CAPACITY, 0), "wait", "submit"]


@pytest.mark.parametrize(
    ("arrived", "is_full", "then"),
    [(1, False, []), (1, True, ["submit"]), (0, True, ["submit", "seek"]), (0, False, ["submit", "seek"])],
)
def test_a_probe_is_submitted_when_it_is_full_or_at_the_end_of_the_topic(
    arrived: int, then: list[object], *, is_full: bool
) -> None:
    probe = Consumer(ConsumerState.PROBING, [arrived], is_full=is_full)
    assert probe.run() == [(CAPACITY, IDLE_POLL_SECONDS), *then]


def test_while_a_probe_is_written_the_next_one_is_filled() -> None:
    assert Consumer(ConsumerState.PROBING, [1], is_free=False).run() == ["submit", (CAPACITY, 0), "submit"]
