"""During a pause messages are skipped; afterwards reading continues at the first of them."""

from time import monotonic

import pytest

from service.handler.kafka.consumer.flow_control.breaker_pause import BreakerPause
from tests.kit.order_partitions import P0, P1, P2


@pytest.mark.parametrize(("seconds", "is_over"), [(60, False), (0, True), (-60, True)])
def test_a_pause_ends_after_its_time(seconds: float, *, is_over: bool) -> None:
    assert BreakerPause(monotonic() + seconds, {}).is_over is is_over


def test_reading_continues_at_the_first_skipped_message_of_each_partition() -> None:
    pause = BreakerPause(0, {P0: 5})
    for partition, offset in ((P0, 9), (P1, 4), (P1, 5)):
        pause.skip(partition, offset)
    assert pause.reread_offsets == {P0: 5, P1: 4}


def test_a_revoked_partition_is_not_read_again() -> None:
    pause = BreakerPause(0, {P0: 5, P1: 4})
    pause.drop(frozenset({P0, P2}))
    assert pause.reread_offsets == {P1: 4}
