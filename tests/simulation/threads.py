"""Replaces what the consumer's modules block on, and read the time from, by the scheduler's."""

import threading
import time
from collections import namedtuple
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

import tenacity

from service.pkg.shutdown_event import ShutdownEvent
from tests.simulation.replacing import replaced
from tests.simulation.scheduler import Process, Scheduler, Task

_Done = namedtuple("_Done", ("done", "not_done"))  # noqa: PYI024 - as that of concurrent.futures


class Condition:
    """As threading.Condition, with its own lock."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._is_locked = False
        self._waiting: list[list[bool]] = []

    def __enter__(self) -> None:
        self._scheduler.pause()
        self._lock()

    def __exit__(self, *_: object) -> None:
        self._is_locked = False

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        deadline = None if timeout is None else self._scheduler.now + timeout
        while not predicate():
            left = None if deadline is None else deadline - self._scheduler.now
            if left is not None and left <= 0:
                return predicate()
            self._wait(left)
        return True

    def notify_all(self) -> None:
        for notified in self._waiting:
            notified[0] = True

    def _wait(self, seconds: float | None) -> None:
        notified = [False]
        self._waiting.append(notified)
        self._is_locked = False
        self._scheduler.wait(lambda: notified[0] and not self._is_locked, seconds)
        self._lock()
        self._waiting.remove(notified)

    def _lock(self) -> None:
        if self._is_locked:
            self._scheduler.wait(lambda: not self._is_locked)
        self._is_locked = True


class Thread:
    """As threading.Thread: part of the process of the thread that creates it."""

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        target: Callable[..., object],
        args: Sequence[Any] = (),
        name: str = "call",
        daemon: bool,
    ) -> None:
        assert daemon
        self._scheduler = scheduler
        self._work = partial(target, *args)
        self._name = name
        self._task: Task | None = None

    def start(self) -> None:
        self._scheduler.pause()
        self._task = self._scheduler.spawn(self._name, current_process(self._scheduler), self._work)

    def join(self, timeout: float) -> None:
        task = self._task
        assert task is not None
        self._scheduler.wait(lambda: task.is_finished, timeout)


class SimulatedShutdownEvent(ShutdownEvent):
    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__()
        self._scheduler = scheduler

    def wait(self, seconds: float) -> bool:
        return self._scheduler.wait(self.is_set, seconds)


def current_process(scheduler: Scheduler) -> Process:
    assert scheduler.current is not None
    return scheduler.current.process


def wait_for_futures(scheduler: Scheduler, calls: Sequence[futures.Future[Any]], timeout: float) -> _Done:
    scheduler.wait(lambda: all(each.done() for each in calls), timeout)
    done = {each for each in calls if each.done()}
    return _Done(done, {*calls} - done)


@contextmanager
def virtual(scheduler: Scheduler, others: dict[Any, Any]) -> Iterator[None]:
    """Let the modules of the service that are loaded use the scheduler, and these replacements of `others`."""
    simulated = SimpleNamespace(
        Condition=partial(Condition, scheduler), Thread=partial(Thread, scheduler), Event=threading.Event
    )
    replacements: dict[int, Any] = {
        id(time.monotonic): scheduler.monotonic,
        id(time.time): scheduler.time,
        id(threading): simulated,
        id(futures.wait): partial(wait_for_futures, scheduler),
        **{id(old): new for old, new in others.items()},
    }
    setattr(tenacity, "time", SimpleNamespace(monotonic=scheduler.monotonic))  # noqa: B010 - not exported
    try:
        with replaced(replacements, ("service",)):
            yield
    finally:
        setattr(tenacity, "time", time)  # noqa: B010
