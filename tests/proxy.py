"""A TCP proxy whose connections a test can cut, delay, refuse, or keep open and silent: what networks do."""

import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

CHUNK = 65_536
AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing resets the connection."""


class Proxy:
    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._links: list[Link] = []
        self.refuses = False
        self.delay = 0.0
        """Seconds that each answer of the server is kept back."""
        self.reset_before: bytes | None = None
        """The connection on which a client sends next what this expression finds is reset before the server gets it."""
        self.reset_after: bytes | None = None
        """The same, but the server gets it, and its answer is lost."""
        self.refuses_after_reset = False
        """Whether connections are refused after such a reset, until a block of `unreachable` ends."""
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

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """Cut what is there, and every new connection, as long as the block lasts."""
        self.refuses = True
        self.cut()
        try:
            yield
        finally:
            self.refuses = False

    @contextmanager
    def delayed(self, seconds: float) -> Iterator[None]:
        """Keep each answer of the server back for so long, as long as the block lasts."""
        self.delay = seconds
        try:
            yield
        finally:
            self.delay = 0.0

    def close(self) -> None:
        self._listener.close()
        self.cut()

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
        self.is_silent = threading.Event()
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
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        self.close()

    def _pump(self, source: socket.socket, sink: socket.socket, is_answer: bool) -> None:  # noqa: FBT001
        with suppress(OSError):
            while data := source.recv(CHUNK):
                if is_answer:
                    self._is_closed.wait(self._proxy.delay)
                elif self._resets_at(data, sink):
                    return
                if not self.is_silent.is_set():
                    sink.sendall(data)
        if not self.is_silent.is_set():
            self.close()

    def _resets_at(self, data: bytes, sink: socket.socket) -> bool:
        """Tell whether this is where the connection is to be cut, once for each time that it was asked for."""
        proxy = self._proxy
        if proxy.reset_before is not None and re.search(proxy.reset_before, data):
            proxy.reset_before = None
            self.reset()
            return True
        if proxy.reset_after is not None and re.search(proxy.reset_after, data):
            proxy.reset_after = None
            self.is_silent.set()  # the server's answer goes nowhere
            sink.sendall(data)
            self._is_closed.wait(0.2)
            proxy.refuses = proxy.refuses_after_reset
            self.reset()
            return True
        return False


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
