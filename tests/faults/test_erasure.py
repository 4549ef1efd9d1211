"""Orders are erased before, while and after they are stored."""

from collections.abc import Iterable
from dataclasses import replace

from generator.stream import Message, stream
from tests.faults.workload import MIX, Workload, wait_assigned

MESSAGES = 20_000
RATE = 4_000.0
ONE_IN = 10
TURNS = 3
LONG_AGO = "2020-01-01T00:00:00Z"


def test_orders_are_erased_while_members_write_and_one_is_killed(workload: Workload) -> None:
    """Then the topic is read again from its beginning, which must not restore them."""
    plan = list(stream(replace(MIX, count=MESSAGES, seed=workload.seed)))
    erased = ids_of(plan)[::ONE_IN]
    killed, other = workload.members()
    workload.produce_messages(plan, RATE)
    workload.wait_stored()
    workload.run("erase", "--yes", *erased[::TURNS])
    workload.kill(killed)
    third = workload.start()
    for turn in range(1, TURNS):
        workload.run("erase", "--yes", *erased[turn::TURNS])
    workload.settle()
    workload.stop(other)
    workload.stop(third)
    workload.run("rewind", "--to-timestamp", LONG_AGO)
    assert workload.group.committed() == 0
    wait_assigned(workload.start())
    assert workload.assert_exact(erased=frozenset(erased)).erased >= len(erased)


def ids_of(plan: Iterable[Message]) -> list[str]:
    """Return the uids of all orders in the stream, in the order of their first appearance."""
    orders = (message.key for message in plan if message.value and message.reason is None)
    return [key.decode() for key in dict.fromkeys(orders) if key]
