import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest

from bench.event_streams import _read
from service.handler.http.events.buffered_event import BufferedEvent, order_data
from service.usecases.ports.reads import Notification

DELAY = timedelta(seconds=2)


@pytest.fixture
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    server, client = socket.socketpair()
    client.settimeout(0)
    with closing(server), closing(client):
        yield server, client


def test_delays_are_measured_from_the_time_at_which_orders_were_stored(
    connected: tuple[socket.socket, socket.socket],
) -> None:
    server, client = connected
    stored_at = (datetime.now(UTC) - DELAY).isoformat().replace("+00:00", "Z")
    notification = Notification(new=["a", "b"], stored_at=stored_at)
    for kind, uid, data in order_data(notification, datetime.now(UTC)):
        event = BufferedEvent("1", kind, data, uid)
        event.add_summary(b'{"stored_at":"2020-01-01T00:00:00Z"}')
        server.sendall(event.with_summary or b"")
    found = [*_read([client], monotonic() + 0.1)]
    assert len(found) == 2
    assert all(DELAY.total_seconds() * 1_000 <= each < DELAY.total_seconds() * 1_000 + 60_000 for each in found)
