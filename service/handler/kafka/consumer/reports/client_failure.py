"""The client's failure, which ends the process."""

from confluent_kafka import KafkaError, KafkaException
from structlog.typing import FilteringBoundLogger

from service.errors import CommandFailed
from service.handler.kafka.client.error_phrases import phrase
from service.handler.kafka.client.member_errors import explanation, underlying_error


class ClientFailure:
    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        self._fatal: KafkaError | None = None

    def record(self, error: KafkaError) -> None:
        """Record a fatal error. The first one names the cause; later ones are its consequences."""
        self._fatal = self._fatal or error

    def raise_recorded(self) -> None:
        """Raise KafkaException if the client has reported a fatal error."""
        if self._fatal is not None:
            raise KafkaException(self._fatal)

    def log_and_translate(self, error: KafkaError) -> CommandFailed:
        """Log why the client failed; return the error with which the process ends."""
        error = underlying_error(error)
        code, problem = error.name(), explanation(error) or phrase(error)
        self._log.error("the Kafka client has failed: the process exits", code=code, problem=problem)
        return CommandFailed(f"the Kafka client has failed ({code}): {problem}")
