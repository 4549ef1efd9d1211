"""The readiness probe of a process of the demo."""

from typing import Final
from urllib.request import urlopen

from local.ports import HOST

_TIMEOUT_SECONDS: Final = 2.0


def is_ready(port: int) -> bool:
    """Query the readiness probe on this admin port. Blocks for at most two seconds."""
    try:
        with urlopen(f"http://{HOST}:{port}/readyz", timeout=_TIMEOUT_SECONDS):
            return True
    except OSError:
        return False
