"""Runs threads one at a time on a virtual clock: the seed decides which one continues, and time passes only in waits.

Each thread is a greenlet, so a schedule does not depend on the machine, and a switch costs less than a microsecond.
"""

import heapq
from collections.abc import Callable
from functools import partial
from itertools import count
from random import Random
from typing import Final

from greenlet import GreenletExit, getcurrent, greenlet

START_SECONDS: Final = 1_700_000_000.0
"""The first moment of both clocks."""
STEP_SECONDS: Final = 0.000_01
"""How long a step takes, so that no loop runs forever at one moment."""
MAX_STEPS: Final = 1_000_000


class Deadlock(Exception):
    """Every thread waits without a deadline."""


class Process:
    """A group of threads that are suspended and killed together."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_killed = False
        self.suspended_until = 0.0


class Task:
    """A simulated thread. It can continue once `is_ready` returns true, or at its deadline."""

    def __init__(self, name: str, process: Process, run: greenlet) -> None:
        self.name = name
        self.process = process
        self.run = run
        self.is_ready: Callable[[], bool] = _always
        self.deadline: float | None = None

    @property
    def is_finished(self) -> bool:
        return bool(self.run.dead)

    def wakes_at(self) -> float | None:
        """Return the time at which the task continues at the latest; None if only another task wakes it."""
        return None if self.deadline is None else max(self.deadline, self.process.suspended_until)


def _always() -> bool:
    return True


class Scheduler:
    """`preemption`: how likely a thread is interrupted where it does not wait."""

    def __init__(self, random: Random, preemption: float = 1.0) -> None:
        self.now = START_SECONDS
        self.steps = 0
        self._random = random
        self._preemption = preemption
        self._hub = getcurrent()
        self._tasks: list[Task] = []
        self._current: Task | None = None
        self._calls: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._failure: BaseException | None = None
        self.on_step: Callable[[], None] = lambda: None

    @property
    def current(self) -> Task | None:
        """The running task; None in the thread that runs the simulation."""
        return self._current

    def monotonic(self) -> float:
        self.pause()
        return self.now

    def time(self) -> float:
        return self.now

    def spawn(self, name: str, process: Process, work: Callable[[], object]) -> Task:
        """Start a thread. An exception that it does not catch ends the simulation."""
        task = Task(name, process, greenlet(lambda: self._run(work), parent=self._hub))
        self._tasks.append(task)
        return task

    def call_at(self, when: float, call: Callable[[], None]) -> None:
        """Call this between two steps; it must not wait."""
        heapq.heappush(self._calls, (when, next(self._numbers), call))

    def call_later(self, seconds: float, call: Callable[[], None]) -> None:
        self.call_at(self.now + seconds, call)

    def pause(self) -> None:
        """Let another thread run first, if the seed says so."""
        if self._current is not None and (self._current.process.is_killed or self._random.random() < self._preemption):
            self.wait(_always)

    def delay(self, seconds: float) -> None:
        self.wait(lambda: False, seconds)

    def wait(self, is_ready: Callable[[], bool], seconds: float | None = None) -> bool:
        """Block until `is_ready` returns true, or for `seconds`; return whether it does.

        Outside of a task, run the simulation until then.
        """
        deadline = None if seconds is None else self.now + max(seconds, 0)
        task = self._current
        if task is None:
            return self._run_until(is_ready, deadline)
        if task.process.is_killed:
            raise GreenletExit
        task.is_ready, task.deadline = is_ready, deadline
        self._hub.switch()
        return is_ready()

    def suspend(self, process: Process, seconds: float) -> None:
        process.suspended_until = max(process.suspended_until, self.now + seconds)

    def kill(self, process: Process) -> None:
        """End all threads of a process where they are. Whatever they call in `finally` blocks has no effect."""
        process.is_killed = True
        for task in [each for each in self._tasks if each.process is process]:
            self._switch(task, partial(task.run.throw, GreenletExit))
        self._tasks = [each for each in self._tasks if each.process is not process]

    def close(self) -> None:
        """End all threads."""
        for process in {id(each.process): each.process for each in self._tasks}.values():
            self.kill(process)

    def _run(self, work: Callable[[], object]) -> None:
        try:
            work()
        except GreenletExit:
            pass
        except BaseException as error:  # noqa: BLE001 - raised in the thread that runs the simulation
            self._failure = self._failure or error

    def _run_until(self, is_ready: Callable[[], bool], deadline: float | None) -> bool:
        while not is_ready():
            if deadline is not None and self.now >= deadline:
                return False
            self._step(deadline)
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
        return True

    def _step(self, deadline: float | None) -> None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise Deadlock(f"no end after {MAX_STEPS:,} steps")
        while self._calls and self._calls[0][0] <= self.now:
            heapq.heappop(self._calls)[2]()
        self.on_step()
        runnable = self._runnable()
        if not runnable:
            self._advance(deadline)
            return
        task = runnable[0] if len(runnable) == 1 else self._random.choice(runnable)
        self._switch(task, task.run.switch)
        self.now += STEP_SECONDS
        if task.is_finished:
            self._tasks.remove(task)

    def _runnable(self) -> list[Task]:
        """Return the tasks that can continue. In one expression, because most of the time is spent here."""
        now = self.now
        return [
            task
            for task in self._tasks
            if task.process.suspended_until <= now
            and ((task.deadline is not None and task.deadline <= now) or task.is_ready())
        ]

    def _switch(self, task: Task, enter: Callable[[], object]) -> None:
        before, self._current = self._current, task
        enter()
        self._current = before

    def _advance(self, deadline: float | None) -> None:
        """Let time pass until something happens."""
        times = [when for task in self._tasks if (when := task.wakes_at()) is not None]
        times += [task.process.suspended_until for task in self._tasks if task.process.suspended_until > self.now]
        if self._calls:
            times.append(self._calls[0][0])
        if deadline is not None:
            times.append(deadline)
        if not times:
            waiting = ", ".join(f"{task.process.name} {task.name}" for task in self._tasks)
            raise Deadlock(f"nothing can happen anymore; waiting: {waiting or 'no thread'}")
        self.now = max(self.now, min(times))
