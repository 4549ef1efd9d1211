"""The settings of a consumer."""

from dataclasses import dataclass

from service.usecases.ports.batch import BatchLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerSettings:
    """Limits of batches, and durations in seconds."""

    limits: BatchLimits
    revoke_timeout: float
    topic_id_timeout: float
    breaker_retry_after: float
    breaker_probe_messages: int
