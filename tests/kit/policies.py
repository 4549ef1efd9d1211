"""Factories of policies with the defaults of `service.config`."""

from datetime import timedelta
from typing import Any

from service.decoding.decoder import DecodingRules
from service.handler.kafka.consumer.flow_control.settings import BreakerSettings
from service.pkg.retry import Backoff
from service.usecases.circuit_breaker import CircuitBreakerPolicy
from service.usecases.ports.batch import BatchLimits


def batch_limits(**overrides: Any) -> BatchLimits:
    return BatchLimits(**{"messages": 4_000, "bytes": 16 * 2**20, "items": 50_000} | overrides)


def retry_backoff(**overrides: Any) -> Backoff:
    return Backoff(**{"initial_backoff": 0.1, "max_backoff": 5, "give_up_after": None} | overrides)


def circuit_breaker_policy(**overrides: Any) -> CircuitBreakerPolicy:
    defaults = {"enabled": True, "ratio": 0.5, "window": 1_000, "max_consecutive": 1_000, "min_rejected": 10}
    return CircuitBreakerPolicy(**defaults | overrides)


def breaker_settings(**overrides: Any) -> BreakerSettings:
    defaults: dict[str, Any] = {"limits": batch_limits(), "retry_after": 60, "probe_messages": 10}
    return BreakerSettings(**defaults | overrides)


def decoding_rules(**overrides: Any) -> DecodingRules:
    defaults: dict[str, Any] = {
        "max_bytes": 2**20,
        "max_nesting": 32,
        "max_future": timedelta(days=1),
        "amount_mismatch": "warn",
    }
    return DecodingRules(**defaults | overrides)
