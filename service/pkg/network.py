"""TCP: ports, and whether an address accepts connections."""

import socket
from collections.abc import Iterable
from typing import Final

from service.pkg.run_with_timeout import run_with_timeout

MAX_PORT: Final = 65_535
COMMAND_CONNECT_TIMEOUT_SECONDS: Final = 3.0
"""How long a command waits for a server. Including its startup, the command fails within 5 s."""


def connection_problem(host: str, port: int, seconds: float) -> str | None:
    """Return why `host` does not resolve or no TCP connection is established, each within `seconds`; else None."""
    try:
        # Name resolution has no timeout.
        run_with_timeout(seconds, lambda: socket.getaddrinfo(host, None))
    except TimeoutError:
        return f"host name does not resolve within {seconds:g} s"
    except OSError as error:
        return os_error_phrase(error)
    try:
        run_with_timeout(seconds, lambda: socket.create_connection((host, port), seconds).close())
    except OSError as error:
        return os_error_phrase(error)
    return None


def resolution_problem(hosts: Iterable[str]) -> str | None:
    """Return which host does not resolve; None if all do. May block for the resolver's timeout."""
    for host in hosts:
        try:
            socket.getaddrinfo(host.strip("[]"), None)
        except OSError:
            return f"{host}: host name does not resolve"
    return None


def os_error_phrase(error: OSError) -> str:
    """Return the standard phrase for a connection error."""
    match error:
        case TimeoutError():
            return "timed out"
        case ConnectionRefusedError():
            return "connection refused"
        case socket.gaierror():
            return "host name does not resolve"
        case _:
            return (error.strerror or type(error).__name__).lower()
