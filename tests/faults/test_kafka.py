"""Brokers that restart, die, freeze, hand over and lose connections, in the midst of the stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.arena import away, frozen
from tests.stage import metric
from tests.waiting import eventually

if TYPE_CHECKING:
    from tests.faults.arena import Arena

SESSION_SECONDS = 6.0


def test_the_broker_is_restarted(arena: Arena) -> None:
    arena.members()
    arena.send()
    arena.wait_flow()
    with away(arena.kafka):
        pass
    arena.fault_is_over()
    arena.assert_exact()


def test_the_broker_is_killed(arena: Arena) -> None:
    arena.members()
    arena.send()
    arena.wait_flow()
    arena.kafka.kill()
    arena.kafka.start()
    arena.fault_is_over()
    arena.assert_exact()


def test_the_broker_freezes_for_longer_than_a_session(arena: Arena) -> None:
    """Thirty seconds in the long form."""
    arena.members()
    arena.send()
    arena.wait_flow()
    with frozen(arena.kafka):
        arena.elapse(30 if arena.is_long else 1.5 * SESSION_SECONDS)
    arena.fault_is_over()
    arena.assert_exact()


def test_connections_to_broker_and_database_are_cut_again_and_again(arena: Arena) -> None:
    members = arena.members(**arena.through_proxies)
    arena.send()
    for _ in range(4):
        arena.wait_flow(300)
        arena.kafka_proxy.cut()
        arena.postgres_proxy.cut()
    arena.fault_is_over()
    assert sum(metric(member, "orders_retries_total") for member in members) > 0
    arena.assert_exact()


def test_connections_to_the_broker_go_silent(arena: Arena) -> None:
    """Half-open ones, after which the session is lost; only new connections work."""
    members = arena.members(**arena.through_proxies)
    arena.send()
    arena.wait_flow()
    arena.kafka_proxy.silence()
    eventually(
        lambda: sum(metric(member, "orders_rebalances_total", kind="lost") for member in members) > 0, 90,
        "a session is lost",
    )  # fmt: skip
    arena.fault_is_over()
    arena.assert_exact()
