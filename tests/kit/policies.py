"""Factories of policies with the defaults of `service.config`, without its limits."""

from datetime import timedelta
from typing import Any

from service.config.settings import CircuitBreakerSettings, RetrySettings
from service.decoding.decoder import DecodingRules
from service.pkg.backoff import Backoff
from service.usecases.batch import BatchLimits


def batch_limits(**overrides: Any) -> BatchLimits:
    return BatchLimits(**{"messages": 4_000, "bytes": 16 * 2**20, "items": 50_000} | overrides)


def retry_backoff(**overrides: Any) -> Backoff:
    return RetrySettings.model_construct(**overrides).backoff


def circuit_breaker_policy(**overrides: Any) -> CircuitBreakerSettings:
    return CircuitBreakerSettings.model_construct(**overrides)


def decoding_rules(**overrides: Any) -> DecodingRules:
    defaults: dict[str, Any] = {
        "max_bytes": 2**20,
        "max_nesting": 32,
        "max_future": timedelta(days=1),
        "amount_mismatch": "warn",
    }
    return DecodingRules(**defaults | overrides)
