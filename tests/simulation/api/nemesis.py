"""Injects the faults of a plan."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from service.repo.listener.listeners import QUERY_TIMEOUT_SECONDS
from service.usecases import bulk_lookup, lookup
from tests.simulation.api.address import Address, terminate
from tests.simulation.api.checker import Checker, Outage
from tests.simulation.api.database import Database
from tests.simulation.api.loop import VirtualLoop
from tests.simulation.api.plan import Fault, FaultKind, Plan
from tests.simulation.api.server import Server
from tests.simulation.scheduler import START_SECONDS
from tests.simulation.timeline import Timeline

SLOW_SECONDS: Final = (0.05, 0.3, 1.0, 5.0)
"""How long a slow statement takes at most."""

MAX_READS: Final = lookup.MAX_CONCURRENT_QUERIES + bulk_lookup.MAX_CONCURRENT_QUERIES


class Nemesis:
    def __init__(self, plan: Plan, database: Database, loop: VirtualLoop, checker: Checker, timeline: Timeline) -> None:
        self._database = database
        self._loop = loop
        self._clock = database.primary.world.clock
        self._checker = checker
        self._timeline = timeline
        self.struck: set[FaultKind] = set()
        self.ends_at = START_SECONDS
        """When the last fault has ended."""
        self._is_combined = len(plan.faults) > 1
        self._half_open_seconds = QUERY_TIMEOUT_SECONDS + 2 * plan.heartbeat
        """How long the API may take to notice half-open connections for reads, if the listener is lost meanwhile."""
        if plan.pool_size <= MAX_READS:
            self._half_open_seconds += plan.statement_timeout  # reads may occupy all connections until then
        for fault in plan.faults:
            self._clock.call_at(START_SECONDS + fault.at, partial(self._strike, fault))
            self.ends_at = max(self.ends_at, START_SECONDS + fault.at + fault.seconds)

    def _strike(self, fault: Fault) -> None:
        self._timeline.add(f"FAULT: {fault}")
        self.struck.add(fault.kind)
        self._actions[fault.kind](fault)
        if self._is_combined and any(link.is_silent for link in self._database.reads.links):
            self._outage(self._half_open_seconds)

    @property
    def _actions(self) -> Mapping[FaultKind, Callable[[Fault], None]]:
        database = self._database
        return {
            FaultKind.RESTART: self._restart,
            FaultKind.FROZEN: self._freeze,
            FaultKind.SLOW: self._slow,
            FaultKind.READS_UNREACHABLE: lambda fault: self._unreachable(database.reads, fault),
            FaultKind.LISTEN_UNREACHABLE: lambda fault: self._unreachable(self._listening(fault), fault),
            FaultKind.LISTEN_REFUSED: self._refuse,
            FaultKind.LISTEN_LOGIN_REFUSED: self._refuse_login,
            FaultKind.LISTEN_HALF_OPEN: lambda fault: self._listening(fault).silence(),
            FaultKind.READS_HALF_OPEN: lambda _: database.reads.silence(),
            FaultKind.ALL_HALF_OPEN: lambda _: self._each(Address.silence),
            FaultKind.LISTEN_RESET: lambda fault: self._listening(fault).reset(),
            FaultKind.ALL_RESET: lambda _: self._each(Address.reset),
            FaultKind.STANDBY_LAGS: self._pause_replay,
            FaultKind.STANDBY_CONFLICTS: self._conflict,
            FaultKind.FAIL_OVER: self._fail_over,
            FaultKind.SUSPENDED: self._suspend,
        }

    def _each(self, act: Callable[[Address], None]) -> None:
        for address in self._database.addresses:
            act(address)

    def _listening(self, fault: Fault) -> Address:
        return self._database.listening[fault.target % len(self._database.listening)]

    def _outage(self, seconds: float) -> None:
        now = self._clock.now
        self._checker.outages.append(Outage(now, now + seconds))
        self.ends_at = max(self.ends_at, now + seconds)

    def _server(self, fault: Fault) -> Server:
        servers = self._database.servers
        return servers[fault.target % len(servers)]

    def _of(self, server: Server) -> list[Address]:
        return [each for each in self._database.addresses if each.server is server]

    def _restart(self, fault: Fault) -> None:
        server = self._server(fault)
        self._outage(fault.seconds)
        server.is_running = False
        for address in self._of(server):
            address.refuse()
            (terminate if fault.target % 3 else Address.reset)(address)
        server.sessions.clear()
        self._clock.call_later(fault.seconds, partial(self._start, server))

    def _start(self, server: Server) -> None:
        if server not in self._database.servers:
            return  # another one was promoted
        server.is_running = True
        for address in self._of(server):
            address.listen()

    def _freeze(self, fault: Fault) -> None:
        self._outage(fault.seconds)
        self._server(fault).frozen_until = self._clock.now + fault.seconds

    def _slow(self, fault: Fault) -> None:
        server = self._server(fault)
        server.slow_seconds = SLOW_SECONDS[fault.target // 10 % len(SLOW_SECONDS)]
        server.slow_until = self._clock.now + fault.seconds
        self._outage(fault.seconds + server.slow_seconds)

    def _unreachable(self, address: Address, fault: Fault) -> None:
        """Drop everything: existing connections do not recover, and new ones are established afterwards."""
        if address is self._database.reads:
            self._outage(fault.seconds)
        address.silence()
        address.unreachable_until = self._clock.now + fault.seconds

    def _refuse(self, fault: Fault) -> None:
        address = self._listening(fault)
        if address is self._database.reads:
            self._outage(fault.seconds)
        address.refuse()
        address.reset()
        self._clock.call_later(fault.seconds, partial(self._listen_again, address))

    def _listen_again(self, address: Address) -> None:
        if address.server.is_running:
            address.listen()

    def _refuse_login(self, fault: Fault) -> None:
        address = self._listening(fault)
        if address is self._database.reads:
            self._outage(fault.seconds)
        address.login_refused_until = self._clock.now + fault.seconds
        address.reset()

    def _pause_replay(self, fault: Fault) -> None:
        for standby in self._database.cluster.standbys:
            standby.pause(fault.seconds)

    def _conflict(self, fault: Fault) -> None:
        if self._database.read_server.is_standby:
            self._outage(fault.seconds)
            self._database.read_server.conflicts_until = self._clock.now + fault.seconds

    def _fail_over(self, fault: Fault) -> None:
        """Stop the primary for good, and let its addresses lead to the standby a moment later."""
        cluster = self._database.cluster
        if not cluster.standbys:
            return
        self._outage(fault.seconds)
        old = self._database.primary
        addresses = self._of(old)
        for address in addresses:
            address.refuse()
            (Address.silence if fault.target % 2 else Address.reset)(address)
        old.is_running = False
        old.sessions.clear()
        self._database.primary = cluster.fail_over()
        self._clock.call_later(fault.seconds, partial(self._move, addresses))

    def _move(self, addresses: Sequence[Address]) -> None:
        for address in addresses:
            address.server = self._database.primary
            address.listen()

    def _suspend(self, fault: Fault) -> None:
        self._outage(fault.seconds)
        self._checker.suspensions.append(self._checker.outages[-1])
        self._loop.suspend(fault.seconds)
