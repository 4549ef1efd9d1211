"""The simulated PostgreSQL without a simulation, for the contract tests that real servers pass, too."""

import tempfile
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from tests.simulation.api.address import terminate
from tests.simulation.api.clock import Clock, virtual
from tests.simulation.api.database import Database
from tests.simulation.api.loop import Network, VirtualLoop
from tests.simulation.api.plan import Layout


class SimulatedPostgres:
    def __init__(self, layout: Layout, folder: Path) -> None:
        random = Random(1)  # noqa: S311 - must be reproducible
        self._clock, self._network = Clock(), Network()
        self._loop = VirtualLoop(self._clock, self._network, random)
        self._database = Database(layout, self._clock, self._network, random, folder, replay_lag=0.1)
        self.dsn = self._database.reads.dsn
        """Of the pooler, if there is one."""
        self.direct_dsn = self._database.listening[0].dsn

    def run(self, steps: Coroutine[None, None, None]) -> None:
        with virtual(self._clock):
            self._loop.run_until_complete(steps)

    async def commit(self, uid: str) -> None:
        """Store an order."""
        self._database.cluster.commit({uid: 1}, self._database.primary, [])

    async def terminate(self) -> None:
        """Terminate all connections, as a shutdown does."""
        terminate(self._database.reads)

    def close(self) -> None:
        self._database.close()
        self._loop.close()
        self._network.close()


@contextmanager
def simulated_postgres(layout: Layout) -> Iterator[SimulatedPostgres]:
    with tempfile.TemporaryDirectory() as folder:
        server = SimulatedPostgres(layout, Path(folder))
        try:
            yield server
        finally:
            server.close()
