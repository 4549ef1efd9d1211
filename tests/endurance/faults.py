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


def _kill(server: Broker | Postgres) -> None:
    server.kill()
    server.start()


def _restart(server: Broker | Postgres) -> None:
    server.stop()
    server.start()


def _postgres_does_not_respond(servers: Servers, members: Members) -> None:
    servers.postgres.freeze()
    try:
        throughout(members.all_run, OUTAGE_SECONDS, "every consumer runs")
    finally:
        servers.postgres.thaw()


FAULTS: Final = (
    Fault("a consumer is killed", lambda _, members: members.kill_one()),
    Fault("Kafka is killed", lambda servers, _: _kill(servers.kafka)),
    Fault("a consumer is restarted", lambda _, members: members.restart_one()),
    Fault("PostgreSQL is killed", lambda servers, _: _kill(servers.postgres)),
    Fault("a consumer is suspended", lambda _, members: members.suspend_one(OUTAGE_SECONDS)),
    Fault("Kafka is restarted", lambda servers, _: _restart(servers.kafka)),
    Fault("PostgreSQL is restarted", lambda servers, _: _restart(servers.postgres)),
    Fault("PostgreSQL does not respond", _postgres_does_not_respond),
)


def in_turn() -> Iterator[Fault]:
    return cycle(FAULTS)
