"""The chart's values have the limits of the settings: Helm rejects invalid settings."""

from typing import Final

import pytest
from jsonschema import Draft7Validator

from reference.values_schema import settings
from service.config import load
from service.errors import InvalidSettings


def rejects(name: str, value: object) -> bool:
    return bool(list(Draft7Validator(settings()).iter_errors({name: value})))


REJECTED: Final = (
    ("ORDERS_LOG__LEVEL", "loud"),
    ("ORDERS_LOG__LEVEL", "INFO"),
    ("ORDERS_LOGG__LEVEL", "info"),
    ("ORDERS_LOG__LEVELS", "info"),
    ("ORDERS_HTTP__CORS_ORIGINS", "https://a.example"),
    ("ORDERS_KAFKA__PROPERTIES", "security.protocol=SSL"),
    ("ORDERS_KAFKA__TOPIC", "a b"),
    ("ORDERS_KAFKA__CREATE_TOPICS", "maybe"),
    ("ORDERS_KAFKA__PARTITIONS", "many"),
    ("ORDERS_KAFKA__PARTITIONS", 0),
    ("ORDERS_POSTGRES__POOL_SIZE", 1_001),
    ("ORDERS_POSTGRES__STATEMENT_TIMEOUT", "30 seconds"),
    ("ORDERS_POSTGRES__STATEMENT_TIMEOUT", 0),
    ("ORDERS_KAFKA__PREFETCH", "8MB"),
)


@pytest.mark.parametrize(("name", "value"), REJECTED)
def test_the_chart_rejects_what_the_service_rejects(name: str, value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rejects(name, value)
    monkeypatch.setenv(name, str(value))
    with pytest.raises(InvalidSettings):
        load()


ACCEPTED: Final = (
    ("ORDERS_LOG__LEVEL", "debug"),
    ("ORDERS_HTTP__CORS_ORIGINS", '["https://a.example"]'),
    ("ORDERS_KAFKA__PROPERTIES", '{\n "security.protocol": "SSL"\n}'),
    ("ORDERS_KAFKA__PROPERTIES__ssl.ca.location", "/a"),
    ("ORDERS_KAFKA__PROPERTIES__socket.timeout.ms", 9000),
    ("ORDERS_KAFKA__TOPIC", 12),
    ("ORDERS_KAFKA__CREATE_TOPICS", False),
    ("ORDERS_KAFKA__CREATE_TOPICS", "no"),
    ("ORDERS_KAFKA__REPLICATION_FACTOR", -1),
    ("ORDERS_KAFKA__PARTITIONS", "6"),
    ("ORDERS_KAFKA__RETENTION", ""),
    ("ORDERS_POSTGRES__STATEMENT_TIMEOUT", 12.5),
    ("ORDERS_POSTGRES__STATEMENT_TIMEOUT", "1.5 m"),
    ("ORDERS_KAFKA__PREFETCH", "8MiB"),
    ("ORDERS_CIRCUIT_BREAKER__RATIO", "0.25"),
    ("O", "a"),
    ("ORDER", "a"),
    ("OTEL_SERVICE_NAME", "a"),
    ("PGSSLMODE", "require"),
)


@pytest.mark.parametrize(("name", "value"), ACCEPTED)
def test_the_chart_accepts_what_the_service_accepts(name: str, value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not rejects(name, value)
    monkeypatch.setenv(name, str(value))
    load()


def test_a_setting_in_lower_case_is_rejected() -> None:
    assert rejects("Orders_Log__Level", "debug")
    assert rejects("ORDERS_LOG__level", "debug")
