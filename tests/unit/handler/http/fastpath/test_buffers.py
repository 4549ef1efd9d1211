from dataclasses import dataclass, field

from service.handler.http.fastpath.buffers import UNCOUNTED_BYTES, BufferBudget


@dataclass(eq=False)
class SizedConnection:
    """A number of buffered bytes, and a log of aborts. The tests of slow clients use real connections."""

    size: int
    log: list["SizedConnection"] = field(default_factory=list)

    def buffered_bytes(self) -> int:
        return self.size

    def abort(self) -> None:
        self.log.append(self)


def test_over_budget_the_connections_longest_without_progress_are_closed() -> None:
    dropped: list[SizedConnection] = []
    buffers = BufferBudget(80_000)
    first, second, third, fourth = (SizedConnection(20_000, dropped) for _ in range(4))
    for connection in (first, second, third, fourth):
        buffers.update(connection)
    first.size = 19_000  # it reads
    buffers.update(last := SizedConnection(20_000, dropped))
    assert dropped == [second, third]
    assert (len(buffers), buffers.size) == (3, 59_000)
    for connection in (first, fourth, last):
        buffers.discard(connection)
    assert (len(buffers), buffers.size) == (0, 0)


def test_a_single_connection_may_exceed_the_budget() -> None:
    dropped: list[SizedConnection] = []
    buffers = BufferBudget(80_000)
    buffers.update(SizedConnection(20_000, dropped))
    buffers.update(large := SizedConnection(100_000, dropped))
    assert len(dropped) == 1
    large.size = UNCOUNTED_BYTES
    buffers.update(large)
    assert (len(buffers), buffers.size) == (0, 0)
