"""A TCP proxy whose connections a test can close, delay, refuse, reset or leave half-open."""

import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

CHUNK = 65_536
NO_LINGER = struct.pack("ii", 1, 0)
"""SO_LINGER of 0 s: closing the socket resets the connection."""


class Proxy:
    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._links: list[Link] = []
        self.refuses = False
        self.delay = 0.0
        """Delay of each response, in seconds."""
        self.reset_before: bytes | None = None
        """Pattern: the next connection on which a client sends a match is reset before the server receives it."""
        self.reset_after: bytes | None = None
        """Pattern: the next connection on which a client sends a match is reset before the response."""
        self.refuses_after_reset = False
        """Whether connections are refused after `reset_after`, until the end of an `unreachable` block."""
        self.accepted = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def close_connections(self) -> None:
        """Close all connections."""
        links, self._links = self._links, []
        for link in links:
            link.close()

    def half_open(self) -> None:
        """Make the existing connections half-open; new ones work."""
        for link in self._links:
            link.is_half_open.set()

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """Close all connections, and refuse new ones within the block."""
        self.refuses = True
        self.close_connections()
        try:
            yield
        finally:
            self.refuses = False

    @contextmanager
    def delayed(self, seconds: float) -> Iterator[None]:
        """Delay each response within the block."""
        self.delay = seconds
        try:
            yield
        finally:
            self.delay = 0.0

    def close(self) -> None:
        self._listener.close()
        self.close_connections()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.accepted += 1
                self._link(client)

    def _link(self, client: socket.socket) -> None:
        try:
            if self.refuses:
                raise ConnectionRefusedError
            self._links.append(Link(self, client, socket.create_connection(self._target)))
        except OSError:
            client.close()


class Link:
    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._ends = client, server
        self._is_closed = threading.Event()
        self.is_half_open = threading.Event()
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=self._pump, args=(source, sink, source is server), daemon=True).start()

    def close(self) -> None:
        self._is_closed.set()
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def reset(self) -> None:
        for end in self._ends:
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        self.close()

    def _pump(self, source: socket.socket, sink: socket.socket, is_response: bool) -> None:  # noqa: FBT001
        with suppress(OSError):
            while data := source.recv(CHUNK):
                if is_response:
                    self._is_closed.wait(self._proxy.delay)
                elif self._reset_on_match(data, sink):
                    return
                if not self.is_half_open.is_set():
                    sink.sendall(data)
        if not self.is_half_open.is_set():
            self.close()

    def _reset_on_match(self, data: bytes, sink: socket.socket) -> bool:
        """Reset the connection if the data matches a pattern, which then is cleared."""
        proxy = self._proxy
        if proxy.reset_before is not None and re.search(proxy.reset_before, data):
            proxy.reset_before = None
            self.reset()
            return True
        if proxy.reset_after is not None and re.search(proxy.reset_after, data):
            proxy.reset_after = None
            self.is_half_open.set()  # drops the response
            sink.sendall(data)
            self._is_closed.wait(0.2)
            proxy.refuses = proxy.refuses_after_reset
            self.reset()
            return True
        return False


@contextmanager
def proxied(dsn: str) -> Iterator[tuple[Proxy, str]]:
    """Yield a proxy for the server of a URL, and the URL through the proxy."""
    parts = urlsplit(dsn)
    proxy = Proxy((parts.hostname or "localhost", parts.port or 5432))
    login = parts.netloc.rpartition("@")[0]
    try:
        yield proxy, parts._replace(netloc=f"{login}@127.0.0.1:{proxy.port}").geturl()
    finally:
        proxy.close()
