"""The settings of the circuit breaker's pauses and probes."""

from dataclasses import dataclass

from service.usecases.ports.batch import BatchLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSettings:
    limits: BatchLimits
    """Those of every batch; a probe has fewer messages."""
    retry_after: float
    """Seconds."""
    probe_messages: int
    """Maximum number of messages of the first probe."""
