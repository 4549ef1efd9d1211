"""The faults of an endurance run, one after the other."""

from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Final, NamedTuple

from local.broker import Broker
from local.postgres import Postgres
from tests.endurance.members import Members
from tests.kit.waiting import throughout

OUTAGE_SECONDS: Final = 10.0


class Servers(NamedTuple):
    kafka: Broker
    postgres: Postgres


class Fault(NamedTuple):
    name: str
    happen: Callable[[Servers, Members], None]
    """Block until the fault has ended."""


def _kafka_is_killed(servers: Servers, _: Members) -> None:
    servers.kafka.kill()
    servers.kafka.start()


def _kafka_is_restarted(servers: Servers, _: Members) -> None:
    servers.kafka.stop()
    servers.kafka.start()


def _postgres_is_killed(servers: Servers, _: Members) -> None:
    servers.postgres.kill()
    servers.postgres.start()


def _postgres_is_restarted(servers: Servers, _: Members) -> None:
    servers.postgres.stop()
    servers.postgres.start()


def _postgres_does_not_respond(servers: Servers, members: Members) -> None:
    servers.postgres.freeze()
    try:
        throughout(members.all_run, OUTAGE_SECONDS, "every consumer runs")
    finally:
        servers.postgres.thaw()


FAULTS: Final = (
    Fault("a consumer is killed", lambda _, members: members.kill_one()),
    Fault("Kafka is killed", _kafka_is_killed),
    Fault("a consumer is restarted", lambda _, members: members.restart_one()),
    Fault("PostgreSQL is killed", _postgres_is_killed),
    Fault("a consumer is suspended", lambda _, members: members.suspend_one(OUTAGE_SECONDS)),
    Fault("Kafka is restarted", _kafka_is_restarted),
    Fault("PostgreSQL is restarted", _postgres_is_restarted),
    Fault("PostgreSQL does not respond", _postgres_does_not_respond),
)


def in_turn() -> Iterator[Fault]:
    return cycle(FAULTS)
