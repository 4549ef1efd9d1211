"""Whether one of our own processes says that it is ready."""

from typing import Final
from urllib.request import urlopen

from local.ports import HOST

_CALL_SECONDS: Final = 2.0


def is_ready(port: int) -> bool:
    """Ask the readiness probe at this port; block for two seconds at most."""
    try:
        with urlopen(f"http://{HOST}:{port}/readyz", timeout=_CALL_SECONDS):
            return True
    except OSError:
        return False
