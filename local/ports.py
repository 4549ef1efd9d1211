"""TCP ports of the loopback address."""

import random
import socket
from typing import Final

from service.entities.errors import ServerUnavailable

HOST: Final = "127.0.0.1"

# Below what kernels hand out by themselves (Linux from 32768, macOS from 49152): nobody else is given the port of a
# server while that is stopped.
_OURS: Final = range(20_000, 32_000)


def free_port() -> int:
    """Return a port that was free a moment ago. Raises ServerUnavailable."""
    for port in random.sample(_OURS, k=100):
        if is_free(port):
            return port
    raise ServerUnavailable(f"no port between {_OURS.start} and {_OURS.stop} is free")


def require_free(port: int, user: str) -> None:
    """Return if `user` can listen on `port`. Raises ServerUnavailable."""
    if obstacle := _obstacle(port):
        raise ServerUnavailable(f"port {port}, which {user} needs, {obstacle}")


def is_free(port: int) -> bool:
    return _obstacle(port) is None


def _obstacle(port: int) -> str | None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT does not count
        try:
            probe.bind((HOST, port))
        except PermissionError:
            return "is not ours to take"
        except OSError:
            return "is taken"
    return None
