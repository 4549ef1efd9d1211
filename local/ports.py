"""Free TCP ports on the loopback address."""

import random
import socket
from typing import Final

from service.errors import ServerUnavailable

HOST: Final = "127.0.0.1"

# Below the ephemeral ports (Linux from 32768, macOS from 49152), so that the kernel does not assign the port of a
# stopped server to another process.
_PORTS: Final = range(20_000, 32_000)


def free_port() -> int:
    """Return a port that was free a moment ago. Raises ServerUnavailable."""
    for port in random.sample(_PORTS, k=100):
        if is_free(port):
            return port
    raise ServerUnavailable(f"no port between {_PORTS.start} and {_PORTS.stop} is free")


def require_free(port: int, user: str, remedy: str = "") -> None:
    """Return if `user` can listen on `port`. Raises ServerUnavailable."""
    if problem := _problem(port):
        raise ServerUnavailable(f"cannot listen on port {port} for {user}: {problem}{remedy and f'. {remedy}'}")


def is_free(port: int) -> bool:
    return _problem(port) is None


def is_listening(port: int) -> bool:
    """Return whether connections are accepted. A server refuses them between `bind` and `listen`."""
    with socket.socket() as client:
        return client.connect_ex((HOST, port)) == 0


def _problem(port: int) -> str | None:
    with socket.socket() as probe:
        # As servers do, so that connections in TIME_WAIT do not count as use.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError:
            return "permission denied"
        except OSError:
            return "address already in use"
    return None
