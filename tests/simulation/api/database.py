"""The servers, standbys and addresses of a layout, and the writers."""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final

from service.repo.notifications import payloads
from tests.simulation.api.address import Address
from tests.simulation.api.clock import Clock
from tests.simulation.api.loop import Network
from tests.simulation.api.plan import UIDS, Layout
from tests.simulation.api.server import Cluster, Server, Standby, World

MAX_ORDERS_PER_COMMIT: Final = 3
ERASED: Final = 0.15
"""Share of the commits that erase orders."""


class Database:
    def __init__(
        self, layout: Layout, clock: Clock, network: Network, random: Random, folder: Path, *, replay_lag: float
    ) -> None:
        world = World(clock, random)
        self._random = random
        self.primary = Server(world, "orders of 1")
        primaries = [self.primary, *([Server(world, "orders of 2")] if layout is Layout.SEVERAL else [])]
        standbys = []
        if layout.has_standby:
            standbys = [Standby(Server(world, "orders of 1", is_standby=True), replay_lag)]
        self.cluster = Cluster(world, primaries, standbys)
        self.read_server = standbys[0].server if standbys else self.primary
        is_pooled = layout in {Layout.POOLER, Layout.POOLER_AND_DIRECT}
        self.reads = Address(folder, 0, self.read_server, network, is_pooled=is_pooled)
        self.listening: Sequence[Address] = [self.reads]
        if layout in {Layout.SEPARATE, Layout.STANDBY, Layout.POOLER_AND_DIRECT}:
            self.listening = [Address(folder, 1, self.primary, network)]
        elif layout is Layout.SEVERAL:
            self.listening = [Address(folder, 1 + n, each, network) for n, each in enumerate(primaries)]
        self.uids = [f"uid-{number}" for number in range(UIDS)]
        self._version = 0

    @property
    def addresses(self) -> Sequence[Address]:
        return [*dict.fromkeys([self.reads, *self.listening])]

    @property
    def servers(self) -> Sequence[Server]:
        return [*dict.fromkeys([self.read_server, *self.cluster.primaries])]

    def fill(self) -> None:
        for uid in self.uids[: UIDS * 3 // 4]:
            self._version += 1
            self.cluster.commit({uid: self._version}, self.primary, [])

    def sample(self) -> list[str]:
        return self._random.sample(self.uids, self._random.randint(1, MAX_ORDERS_PER_COMMIT))

    def write(self, uids: Sequence[str]) -> bool:
        """Commit new versions of these orders, or erase them; return False if the server does not run."""
        server = self._random.choice(self.cluster.primaries)
        if not server.is_running or server.frozen_until > server.world.clock.now:
            return False
        erases = self._random.random() < ERASED
        orders: dict[str, int | None] = {}
        for uid in uids:
            self._version += 1
            orders[uid] = None if erases else self._version
        stored = server.copy.orders
        new = [uid for uid in uids if uid not in stored and not erases]
        changed = [uid for uid in uids if uid in stored]
        self.cluster.commit(orders, server, [*payloads(new, changed)])
        return True

    def close(self) -> None:
        for address in self.addresses:
            address.close()
