"""The log of a client: librdkafka repeats its messages many times a second."""

import logging
from collections import deque
from typing import Final

from structlog.typing import FilteringBoundLogger

from service.handler.kafka.client.connection_errors import explain
from service.pkg.log_throttle import LOG_INTERVAL_SECONDS, LogThrottle

_MAX_LOG_LINES: Final = 200


class LineBuffer(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self._buffer: deque[str] = deque(maxlen=_MAX_LOG_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        self._buffer.append(record.getMessage())

    def copy(self) -> list[str]:
        return [*self._buffer]

    def drain(self) -> list[str]:
        lines = self.copy()
        self._buffer.clear()
        return lines


class _ExplainingHandler(logging.Handler):
    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__()
        self._log = log
        self._throttle = LogThrottle(LOG_INTERVAL_SECONDS)

    def emit(self, record: logging.LogRecord) -> None:
        if (failure := explain([record.getMessage()])) is None:
            _forward(record)
        elif self._throttle.is_due(str(failure)):
            hint = f"check {failure.check}"
            self._log.warning("cannot reach Kafka", address=failure.address, problem=failure.cause, hint=hint)


def _forward(record: logging.LogRecord) -> None:
    logger = logging.getLogger("librdkafka")
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)


def client_logger(log: FilteringBoundLogger) -> logging.Logger:
    """Return a logger for a client: connection failures are explained and rate-limited, other lines are forwarded."""
    return new_logger(_ExplainingHandler(log))


def new_logger(handler: logging.Handler) -> logging.Logger:
    logger = logging.Logger("librdkafka")  # noqa: LOG001 - one per client, outside the logger hierarchy
    logger.addHandler(handler)
    return logger


def log_missing_topic(log: FilteringBoundLogger, topic: str) -> None:
    """Log it, or the pattern that no topic matches: the client reports that as a topic of this name."""
    if topic.startswith("^"):
        log.error("no topic matches the pattern", pattern=topic, hint="check ORDERS_KAFKA__TOPICS and the ACLs")
    else:
        log.error("the topic does not exist: run `orders migrate`", topic=topic)
