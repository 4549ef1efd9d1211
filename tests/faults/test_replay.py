"""Dead letters whose cause was fixed are replayed, with an interruption, against newer versions."""

from itertools import chain

import confluent_kafka
import msgspec

from generator.orders import encode
from generator.stream import Message, Plan, stream
from service.entities.dead_letter import Reason
from service.entities.dead_letter_headers import Header
from tests.faults.checker import headers_in
from tests.faults.nemesis import rejecting
from tests.faults.test_orders import IS_POISON, poisoned
from tests.faults.workload import Workload
from tests.kit.waiting import eventually

ORDERS = 2_000
FAULTS = 100
POISONED = range(200, 500)
OVERTAKEN = 100
RATE = "100"
MAX_REPLAYS = 3


def test_a_replay_of_dead_letters_is_killed_and_repeated(workload: Workload) -> None:
    orders = list(poisoned(stream(Plan(count=ORDERS, seed=workload.seed)), POISONED))
    faults = stream(Plan(count=FAULTS, seed=workload.seed + 1, invalid=1))
    workload.members()
    with rejecting(workload, IS_POISON, "P0001"):
        workload.produce_messages(chain(orders, faults))
        workload.settle()
    workload.produce_messages(newer(orders[POISONED.start : POISONED.start + OVERTAKEN]))
    workload.settle()
    replay = workload.start("dlq", "replay", "--rate", RATE)
    before = workload.group.produced()
    eventually(lambda: workload.group.produced() > before, 30, "dead letters are replayed")
    workload.kill(replay)
    run_replays(workload)
    workload.assert_exact(expected_reason=lambda message: planned_reason_unless_replayed(workload, message))


def run_replays(workload: Workload) -> None:
    """Replay until nothing more is sent; a rejected order is replayed at most --max-replays times."""
    for _ in range(MAX_REPLAYS + 1):
        before = workload.group.produced()
        workload.run("dlq", "replay")
        workload.settle()
        if workload.group.produced() == before:
            return
    raise AssertionError("replays do not end")


def newer(orders: list[Message]) -> list[Message]:
    """Return newer versions of rejected orders, which are valid."""
    documents = [msgspec.json.decode(order.value or b"") for order in orders]
    return [
        Message(order.key, encode(document | {"oof_shard": "7", "sm_id": 77}), "update")
        for order, document in zip(orders, documents, strict=True)
    ]


def planned_reason_unless_replayed(workload: Workload, message: confluent_kafka.Message) -> Reason | None:
    """An order that PostgreSQL rejected is stored when it is replayed; an invalid message stays invalid."""
    reason = workload.planned_reason(message)
    return None if reason == "rejected" and headers_in(message).get(Header.REPLAYS, b"0") != b"0" else reason
