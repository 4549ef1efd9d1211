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
    if not is_free(port):
        raise ServerUnavailable(f"port {port}, which {user} needs, is taken")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT does not count
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
