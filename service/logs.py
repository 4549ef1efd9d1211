"""Structured logs on standard error: a fixed event and fields, as one JSON object per line or as text.

Never log a payload or the text of a driver's error: psycopg's holds the failing row.
"""

import logging
import os
import sys
from typing import Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

Format = Literal["auto", "json", "text"]
"""`auto` is `text` on a terminal, else `json`."""


def configure(level: str = "info", fmt: Format = "auto") -> None:
    """Write the records of structlog and of the standard library to standard error in one format."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        _summarize_exception,
    ]
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(fmt)],
        )
    )
    root = logging.getLogger()
    root.handlers, root.level = [handler], threshold
    # The pool logs each failed attempt with the driver's text. Outages are logged without it.
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)
    # Alembic logs each of its plugins on import.
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)


def _renderer(fmt: Format) -> Processor:
    if fmt == "json" or (fmt == "auto" and not sys.stderr.isatty()):
        return structlog.processors.JSONRenderer(sort_keys=False)
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty() and not os.environ.get("NO_COLOR"))


def _summarize_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace a traceback by the exception's type and location: its text could hold personal data."""
    info = event.pop("exc_info", None)
    error = info[1] if isinstance(info, tuple) else sys.exc_info()[1] if info is True else info
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
        event["at"] = _location(error)
    return event


def _location(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}" if trace else ""
