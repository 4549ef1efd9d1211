"""Each probe continues after the last one, and every message that is held back is read again."""

from service.handler.kafka.consumer.flow_control.probe import Probe
from service.usecases.batch import Batch
from tests.kit.factories import record
from tests.kit.order_partitions import P0, P1, P2, P3


def batch(*places: tuple[int, int]) -> Batch:
    """Return one that took these partitions' offsets."""
    made = Batch()
    for partition, offset in places:
        made.track(record(offset, partition=partition))
    return made


def test_the_first_probe_begins_at_the_rejected_batch() -> None:
    probe = Probe.before(batch((0, 5), (0, 6)), batch((0, 7), (1, 3)), 10)
    assert (probe.next, probe.held_back, probe.size) == ({P0: 5, P1: 3}, {P0: 5, P1: 3}, 10)


def test_each_probe_continues_after_the_last_and_holds_back_untried_messages() -> None:
    probe = Probe.before(batch((0, 5)), Batch(), 10)
    probe.add(batch((0, 5), (0, 6)), batch((0, 7), (2, 1)))
    assert (probe.next, probe.held_back, probe.tried_until) == ({P0: 7, P2: 1}, {P0: 5, P2: 1}, {P0: 7})
    probe.add(batch((2, 1), (3, 8)), Batch())
    assert (probe.next, probe.held_back, probe.tried_until) == (
        {P0: 7, P2: 2, P3: 9},
        {P0: 5, P2: 1, P3: 8},
        {P0: 7, P2: 2, P3: 9},
    )


def test_at_the_end_of_the_topic_the_next_probe_begins_at_the_first_message_again() -> None:
    probe = Probe.before(batch((0, 5)), Batch(), 10)
    assert not probe.is_at_end(100)
    probe.add(batch((0, 5), (0, 6)), Batch())
    probe.started_at = 99
    assert not probe.is_at_end(100)
    assert probe.is_at_end(102)
    before = probe.starts_over
    assert probe.rewind() == {P0: 5}
    assert (before, probe.starts_over) == (False, True)
    assert not probe.is_at_end(200)
    probe.add(batch((0, 5)), Batch())
    assert (probe.next, probe.held_back, probe.tried_until) == ({P0: 6}, {P0: 5}, {P0: 7})


def test_it_grows_to_a_full_batch() -> None:
    probe = Probe.before(batch((0, 5)), Batch(), 10)
    sizes = []
    for _ in range(3):
        probe.grow(35)
        sizes.append(probe.size)
    assert sizes == [20, 35, 35]


def test_messages_of_a_revoked_partition_are_not_probed() -> None:
    probe = Probe.before(batch((0, 5), (1, 5)), Batch(), 10)
    taken = batch((0, 5), (1, 5))
    taken.drop(frozenset({P1}))
    probe.add(taken, Batch())
    probe.drop(frozenset({P1}))
    assert (probe.next, probe.held_back, probe.tried_until) == ({P0: 6}, {P0: 5}, {P0: 6})
