"""The result that a measuring process reports to its parent."""

from typing import Final, TypeVar

import msgspec

from local.process import Process
from service.errors import ServerUnavailable
from service.pkg.shutdown_event import ShutdownEvent

_SECONDS: Final = 300.0
_Answer = TypeVar("_Answer")


def answer_of(process: Process, kind: type[_Answer]) -> _Answer:
    """Run the process, and return what the last line of its output says in JSON. Raises ServerUnavailable."""
    process.run(_SECONDS, ShutdownEvent())
    lines = process.log.read_bytes().splitlines() or [b""]
    try:
        return msgspec.json.decode(lines[-1], type=kind)
    except msgspec.DecodeError:
        raise ServerUnavailable(f"{process.name} reported no result; {process.tail()}") from None
