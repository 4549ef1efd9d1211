"""A TCP proxy whose connections a test can cut, or keep open and silent: what firewalls and dead peers do."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

CHUNK = 65_536


class Proxy:
    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._links: list[Link] = []
        self.accepted = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def cut(self) -> None:
        """Close the connections that are there."""
        links, self._links = self._links, []
        for link in links:
            link.close()

    def silence(self) -> None:
        """Let nothing more through on the connections that are there; new ones work."""
        for link in self._links:
            link.is_silent.set()

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.accepted += 1
                self._links.append(Link(client, socket.create_connection(self._target)))


class Link:
    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self._ends = client, server
        self.is_silent = threading.Event()
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def close(self) -> None:
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                if not self.is_silent.is_set():
                    sink.sendall(data)
        if not self.is_silent.is_set():
            self.close()


@contextmanager
def proxied(dsn: str) -> Iterator[tuple[Proxy, str]]:
    """Yield a proxy before the server of a URL, and the URL that leads through it."""
    parts = urlsplit(dsn)
    proxy = Proxy((parts.hostname or "localhost", parts.port or 5432))
    login = parts.netloc.rpartition("@")[0]
    try:
        yield proxy, parts._replace(netloc=f"{login}@127.0.0.1:{proxy.port}").geturl()
    finally:
        proxy.close()
