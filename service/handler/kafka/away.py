"""Says why Kafka can't be reached, in words of ours: the client's name addresses, and come many times a second."""

import logging
import re
from typing import Any, Final

from confluent_kafka.admin import AdminClient
from structlog.typing import FilteringBoundLogger

from service.pkg.seldom import Seldom

SAY_EVERY_SECONDS: Final = 30.0
_SIGNS: Final = (
    (r"Unsupported SASL mechanism", "to take us in: it doesn't know our sasl.mechanism"),
    (r"SASL authentication error", "to take us in: the user or the password is wrong"),
    (r"certificate verify failed", "to show a certificate that we trust, for the host name that we ask for"),
    (r"SSL routines.* alert ", "to take us in: it wants a certificate of ours, or another one"),
    (r"PLAINTEXT broker listener", "to speak TLS: its listener seems to be a plain one"),
    (r"Disconnected.*APIVERSION_QUERY", "to understand us: its listener seems to have another security.protocol"),
    (r"Failed to resolve", "to be found: its name doesn't resolve"),
    (r"Connection refused", "to listen: it refuses the connection"),
)
"""Those that more can be done about come first: a client tries every address of a host."""


class Admin(AdminClient):
    """An AdminClient that keeps its log to itself, and tells what stands in it."""

    def __init__(self, properties: dict[str, Any]) -> None:
        self._heard = _Kept()
        super().__init__(properties, logger=_logger(self._heard))

    def what_is_missing(self) -> str | None:
        """Return the end of the sentence "waiting for Kafka ...", of what was reported since the last time."""
        self.poll(0)
        return what_is_missing("\n".join(self._heard.taken()))


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self._texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._texts.append(record.getMessage())

    def taken(self) -> list[str]:
        texts, self._texts = self._texts, []
        return texts


class _Told(logging.Handler):
    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__()
        self._log = log
        self._seldom = Seldom(SAY_EVERY_SECONDS)

    def emit(self, record: logging.LogRecord) -> None:
        if (words := what_is_missing(record.getMessage())) is None:
            _pass_on(record)
        elif self._seldom.is_due(words):
            self._log.warning("Kafka can't be reached", problem=f"it has yet {words}")


def _pass_on(record: logging.LogRecord) -> None:
    logger = logging.getLogger("librdkafka")
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)


def told_to(log: FilteringBoundLogger) -> logging.Logger:
    """Return what a client may log to: what keeps it from Kafka is said now and then, in words of ours."""
    return _logger(_Told(log))


def what_is_missing(text: str) -> str | None:
    """Return the end of the sentence "waiting for Kafka ..." for what a client wrote; None where that tells nothing."""
    return next((words for sign, words in _SIGNS if re.search(sign, text)), None)


def _logger(handler: logging.Handler) -> logging.Logger:
    logger = logging.Logger("librdkafka")  # noqa: LOG001 - of one client, and not in the tree
    logger.addHandler(handler)
    return logger
