"""An invalid setting is rejected in one line, with the name of its variable and without its value."""

from pathlib import Path

import pytest

from service.config import load
from service.errors import InvalidSettings
from tests.kit.config import SECRET, refusal, secrets


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("ORDERS_MODE", SECRET),
        ("ORDERS_KAFKA__TOPIK", SECRET),
        ("ORDERS_KAFKA__TOPIC", "two words"),
        ("ORDERS_KAFKA__TOPIC", "a" * 250),
        ("ORDERS_KAFKA__GROUP_PROTOCOL", SECRET),
        ("ORDERS_KAFKA__TOPIC", "."),
        ("ORDERS_KAFKA__TOPIC", ".."),
        ("ORDERS_KAFKA__TOPIC", "orders/2"),
        ("ORDERS_KAFKA__DEAD_LETTER_TOPIC", "orders#dlq"),
        ("ORDERS_KAFKA__REPLICATION_FACTOR", "0"),
        ("ORDERS_KAFKA__PARTITIONS", "0"),
        ("ORDERS_KAFKA__SESSION_TIMEOUT", "0"),
        ("ORDERS_KAFKA__SESSION_TIMEOUT", "2h"),
        ("ORDERS_KAFKA__PREFETCH", "10GiB"),
        ("ORDERS_KAFKA__RETENTION", "0"),
        ("ORDERS_KAFKA__DEAD_LETTER_RETENTION", "0"),
        ("ORDERS_KAFKA__DEAD_LETTER_MAX_BYTES", "4GiB"),
        ("ORDERS_RETRY__GIVE_UP_AFTER", "0"),
        ("ORDERS_CIRCUIT_BREAKER__RETRY_AFTER", "0"),
        ("ORDERS_MIGRATION__TIMEOUT", "0"),
        ("ORDERS_HTTP__PORT", "65536"),
        ("ORDERS_HTTP__PORT", "-1"),
        ("ORDERS_ADMIN__PORT", "70000"),
        ("ORDERS_HTTP__PORT", SECRET),
        ("ORDERS_BATCH__MAX_MESSAGES", "0"),
        ("ORDERS_BATCH__MAX_MESSAGES", "100001"),
        ("ORDERS_BATCH__MAX_BYTES", "1MB"),
        ("ORDERS_BATCH__MAX_BYTES", "0"),
        ("ORDERS_BATCH__MAX_ITEMS", "-1"),
        ("ORDERS_RETRY__INITIAL_BACKOFF", "0"),
        ("ORDERS_RETRY__INITIAL_BACKOFF", "soon"),
        ("ORDERS_RETRY__INITIAL_BACKOFF", "inf"),
        ("ORDERS_RETRY__INITIAL_BACKOFF", "nan"),
        ("ORDERS_REBALANCE__REVOKE_TIMEOUT", "-1s"),
        ("ORDERS_CIRCUIT_BREAKER__RATIO", "0"),
        ("ORDERS_CIRCUIT_BREAKER__RATIO", "1.1"),
        ("ORDERS_CIRCUIT_BREAKER__ENABLED", SECRET),
        ("ORDERS_DOCUMENT__AMOUNT_MISMATCH", SECRET),
        ("ORDERS_VERSION__COMPARE_BY", SECRET),
        ("ORDERS_LOG__LEVEL", SECRET),
        ("ORDERS_POSTGRES__DSN__HOST", SECRET),
        ("ORDERS_POSTGRES__CONNECT_TIMEOUT", "0"),
        ("ORDERS_POSTGRES__STATEMENT_TIMEOUT", "0"),
        ("ORDERS_POSTGRES__STATEMENT_TIMEOUT", "30d"),
        ("ORDERS_POSTGRES__LOCK_TIMEOUT", "0"),
        ("ORDERS_POSTGRES__LOCK_TIMEOUT", "30d"),
        ("ORDERS_MIGRATION__STATEMENT_TIMEOUT", "30d"),
        ("ORDERS_ADMIN__LIVENESS_TIMEOUT", "0"),
        ("ORDERS_DOCUMENT__MAX_FUTURE", "3000000d"),
        ("ORDERS_DOCUMENT__FORMAT", "xml"),
        ("ORDERS_DOCUMENT__ALIASES", '{"a": "entri"}'),
        ("ORDERS_DOCUMENT__DEFAULTS", '{"locale": 7}'),
        ("ORDERS_BTACH__MAX_MESSAGES", "5"),
        ("orders_btach__max_orders", "5"),
    ],
)
def test_an_invalid_value_is_rejected_with_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str
) -> None:
    assert refusal(monkeypatch, **{variable: text}).startswith(variable.removesuffix("__HOST") + ": ")


def test_all_invalid_values_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    line = refusal(monkeypatch, ORDERS_BATCH__MAX_MESSAGES="x", ORDERS_HTTP__PORT="y", ORDERS_KAFKA__TOPIK="z")
    assert "ORDERS_BATCH__MAX_MESSAGES: " in line
    assert "ORDERS_HTTP__PORT: " in line
    assert "ORDERS_KAFKA__TOPIK: unknown setting" in line


@pytest.mark.parametrize("variable", ["ORDERS_KAFKA__PROPERTIES", "ORDERS_HTTP__CORS_ORIGINS", "ORDERS_KAFKA"])
def test_an_error_for_invalid_json_names_the_whole_variable(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    assert refusal(monkeypatch, **{variable: f"{{{SECRET}"}) == f"{variable}: invalid JSON"


def test_an_error_for_invalid_json_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets(tmp_path, monkeypatch, ORDERS_KAFKA__PROPERTIES=f"{{{SECRET}")
    assert refusal(monkeypatch) == "ORDERS_KAFKA__PROPERTIES: invalid JSON"


def test_the_order_topic_and_the_dead_letter_topic_must_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    line = refusal(monkeypatch, ORDERS_KAFKA__TOPIC="a", ORDERS_KAFKA__DEAD_LETTER_TOPIC="a")
    assert line == "ORDERS_KAFKA: topic and dead_letter_topic must differ"


def test_overrides_are_validated() -> None:
    with pytest.raises(InvalidSettings, match="ORDERS_BATCH__MAX_MESSAGES"):
        load(batch={"max_messages": 0})
