"""`orders consumer`: starts the consumer's parts in order, and stops them in reverse order."""

import argparse
import gc
import sys
from threading import Thread
from typing import Final

from service.app.build_info import build_info
from service.app.consumer.wiring import ConsumerParts, build
from service.app.tracing import tracing
from service.config import Settings
from service.pkg.exit_codes import ExitCode
from service.pkg.shutdown_event import ShutdownEvent

_GC_THRESHOLD: Final = 200_000
"""Net allocations that start a garbage collection of generation 0. Two batches allocate fewer."""
_SWITCH_INTERVAL_SECONDS: Final = 0.0005
"""How long the reading thread may hold the GIL while the writing thread waits; 5 ms by default."""


def run(_args: argparse.Namespace, settings: Settings, stop: ShutdownEvent) -> int:
    """Read, store and dead-letter until SIGTERM or SIGINT; return the exit code.

    Raises CommandFailed or InvalidSettings.
    """
    stop.set_at_signals()
    with tracing(**build_info("consumer")) as middleware:
        _run_until_stopped(build(settings, stop, middleware))
    return ExitCode.DONE


def _run_until_stopped(parts: ConsumerParts) -> None:
    _tune_interpreter()
    parts.admin.start()
    Thread(target=parts.topic_report, name="topics", daemon=True).start()
    Thread(target=parts.password_watch, name="password", daemon=True).start()
    try:
        parts.consumer.run()
    finally:
        parts.admin.stop()
        parts.dead_letters.close()
        parts.store.close()


def _tune_interpreter() -> None:
    """Collect garbage less often, and switch threads sooner.

    Batches contain no reference cycles, so collections would scan thousands of messages for nothing. The writing thread
    needs the GIL briefly but often: after each response of PostgreSQL, which is idle until the next request.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD)
    sys.setswitchinterval(_SWITCH_INTERVAL_SECONDS)
