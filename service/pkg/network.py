"""Whether something listens at an address."""

import socket

from service.pkg.run_with_timeout import run_with_timeout


def unreachable(host: str, port: int, seconds: float) -> str | None:
    """Return why no TCP connection can be made within `seconds`; None where one can."""
    try:
        run_with_timeout(
            seconds, lambda: socket.create_connection((host, port), seconds).close()
        )  # resolving has no limit of its own
    except OSError as error:
        return cause(error)
    return None


def cause(error: OSError) -> str:
    """Return the standard phrase for why a connection could not be made."""
    match error:
        case TimeoutError():
            return "timed out"
        case ConnectionRefusedError():
            return "connection refused"
        case socket.gaierror():
            return "host name does not resolve"
        case _:
            return (error.strerror or type(error).__name__).lower()
