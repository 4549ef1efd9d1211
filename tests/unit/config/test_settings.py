"""Loading settings from the environment and from files; errors name the variable, never its value."""

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from service import config
from service.config import Settings, load
from tests.kit.config import SECRET, load_with, refusal, secrets, setting

# Defaults

DEFAULTS: Mapping[str, Any] = {
    "ORDERS_MODE": None,
    "ORDERS_KAFKA__BOOTSTRAP_SERVERS": "localhost:9092",
    "ORDERS_KAFKA__TOPIC": "orders",
    "ORDERS_KAFKA__GROUP_ID": "orders",
    "ORDERS_KAFKA__DEAD_LETTER_TOPIC": "orders.dlq",
    "ORDERS_KAFKA__PROPERTIES": {},
    "ORDERS_KAFKA__GROUP_PROTOCOL": "classic",
    "ORDERS_KAFKA__SESSION_TIMEOUT": 6,
    "ORDERS_KAFKA__TOPIC_ID_TIMEOUT": 10,
    "ORDERS_POSTGRES__DSN": "postgresql://localhost/orders",
    "ORDERS_HTTP__HOST": "::",
    "ORDERS_HTTP__PORT": 8000,
    "ORDERS_ADMIN__PORT": 9000,
    "ORDERS_CACHE__MAX_ENTRIES": 10_000,
    "ORDERS_CACHE__MAX_BYTES": 256 * 2**20,
    "ORDERS_CACHE__WARM_UP_SIZE": 10_000,
    "ORDERS_LISTENER__HEARTBEAT": 0.5,
    "ORDERS_CACHE__MAX_STALE": None,
    "ORDERS_BATCH__MAX_BYTES": 16 * 2**20,
    "ORDERS_BATCH__MAX_ITEMS": 50_000,
    "ORDERS_RETRY__GIVE_UP_AFTER": None,
    "ORDERS_CIRCUIT_BREAKER__ENABLED": True,
    "ORDERS_CIRCUIT_BREAKER__RATIO": 0.5,
    "ORDERS_CIRCUIT_BREAKER__WINDOW": 1_000,
    "ORDERS_CIRCUIT_BREAKER__MAX_CONSECUTIVE": 1_000,
    "ORDERS_CIRCUIT_BREAKER__PROBE_MESSAGES": 10,
    "ORDERS_REBALANCE__REVOKE_TIMEOUT": 5,
    "ORDERS_DOCUMENT__MAX_MESSAGE_BYTES": 2**20,
    "ORDERS_DOCUMENT__MAX_NESTING": 32,
    "ORDERS_DOCUMENT__MAX_FUTURE": 86_400,
    "ORDERS_DOCUMENT__AMOUNT_MISMATCH": "warn",
    "ORDERS_VERSION__COMPARE_BY": "timestamp",
    "ORDERS_MIGRATION__TIMEOUT": 600,
}


@pytest.mark.parametrize(("variable", "default"), DEFAULTS.items(), ids=DEFAULTS)
def test_a_setting_has_its_documented_default(variable: str, default: Any) -> None:
    assert setting(load(), variable) == default


def test_a_full_batch_is_between_1000_and_5000_orders() -> None:
    assert 1_000 <= load().batch.max_messages <= 5_000


def test_every_setting_has_a_description() -> None:
    groups = [
        field.default for field in Settings.model_fields.values() if isinstance(field.default, config.SettingsGroup)
    ]
    assert len(groups) >= 13
    undescribed = [
        f"{type(group).__name__}.{name}"
        for group in groups
        for name, field in type(group).model_fields.items()
        if not field.description
    ]
    assert undescribed == []


# Sources


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("ORDERS_MODE", "api", "api"),
        ("ORDERS_KAFKA__TOPIC", "orders-2", "orders-2"),
        ("ORDERS_KAFKA__PROPERTIES", '{"security.protocol": "SASL_SSL", "socket.timeout.ms": 5}',
         {"security.protocol": "SASL_SSL", "socket.timeout.ms": 5}),
        ("ORDERS_HTTP__PORT", "0", 0),
        ("ORDERS_CIRCUIT_BREAKER__ENABLED", "false", False),
        ("ORDERS_RETRY__GIVE_UP_AFTER", "2h", 7_200),
        ("ORDERS_RETRY__INITIAL_BACKOFF", "250ms", 0.25),
        ("ORDERS_DOCUMENT__MAX_FUTURE", "2d", 172_800),
        ("ORDERS_MIGRATION__TIMEOUT", "10m", 600),
        ("ORDERS_REBALANCE__REVOKE_TIMEOUT", " 1.5 s ", 1.5),
        ("ORDERS_REBALANCE__REVOKE_TIMEOUT", "3", 3),
        ("ORDERS_CACHE__MAX_BYTES", "1GiB", 2**30),
        ("ORDERS_CACHE__MAX_BYTES", "1.5 MiB", 1_572_864),
        ("ORDERS_CACHE__MAX_BYTES", "1048576", 2**20),
        ("ORDERS_HTTP__CORS_ORIGINS", '["https://shop.example"]', ("https://shop.example",)),
        ("ORDERS_BATCH__MAX_MESSAGES", "", 4_000),
        ("orders_kafka__group_id", "small", "small"),
    ],
)  # fmt: skip
def test_a_variable_sets_its_setting(monkeypatch: pytest.MonkeyPatch, variable: str, text: str, value: Any) -> None:
    assert setting(load_with(monkeypatch, **{variable: text}), variable.upper()) == value


def test_variables_that_kubernetes_injects_for_services_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    injected = {
        "ORDERS_KAFKA_PORT": "tcp://10.0.0.1:9092",
        "ORDERS_KAFKA_SERVICE_HOST": "10.0.0.1",
        "ORDERS_API_PORT_80_TCP": "tcp://10.0.0.2:80",
        "ORDERS_POSTGRESQL_SERVICE_PORT": "5432",
    }
    assert load_with(monkeypatch, **injected) == Settings()


def test_settings_are_immutable() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().kafka.topic = "other"  # type: ignore[misc]


def test_a_file_of_a_mounted_secret_sets_its_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets(
        tmp_path,
        monkeypatch,
        ORDERS_POSTGRES__DSN="postgresql://db/orders\n",
        ORDERS_KAFKA__PROPERTIES='{"sasl.password": "x"}\n',
        ORDERS_MODE="api",
    )
    settings = load()
    assert settings.postgres.dsn == "postgresql://db/orders"
    assert settings.kafka.properties == {"sasl.password": "x"}
    assert settings.mode == "api"


def test_a_variable_takes_precedence_over_a_file_of_the_same_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets(tmp_path, monkeypatch, ORDERS_POSTGRES__DSN="postgresql://file/a", ORDERS_POSTGRES__POOL_SIZE="3")
    settings = load_with(monkeypatch, ORDERS_POSTGRES__DSN="postgresql://variable/a")
    assert (settings.postgres.dsn, settings.postgres.pool_size) == ("postgresql://variable/a", 3)


SINGLE = {
    "ORDERS_KAFKA__PROPERTIES__sasl.password": "12e5",
    "ORDERS_KAFKA__PROPERTIES": '{"sasl.password": "x", "socket.timeout.ms": 5}',
}


@pytest.mark.parametrize("names", [[*SINGLE], [*reversed(SINGLE)]], ids=["before the JSON", "after the JSON"])
def test_a_property_in_its_own_variable_overrides_the_json(monkeypatch: pytest.MonkeyPatch, names: list[str]) -> None:
    settings = load_with(monkeypatch, **{name: SINGLE[name] for name in names})
    assert settings.kafka.properties == {"sasl.password": "12e5", "socket.timeout.ms": 5}


def test_a_property_in_its_own_file_is_merged_with_the_json_of_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets(tmp_path, monkeypatch, **{"ORDERS_KAFKA__PROPERTIES__sasl.password": f"{SECRET}\n"})
    settings = load_with(monkeypatch, ORDERS_KAFKA__PROPERTIES='{"sasl.username": "shop"}')
    assert settings.kafka.properties == {"sasl.username": "shop", "sasl.password": SECRET}


def test_a_file_with_an_unknown_name_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets(tmp_path, monkeypatch, ORDERS_POSTGRES__DNS=SECRET)
    assert refusal(monkeypatch) == "ORDERS_POSTGRES__DNS: unknown setting"


def test_files_without_the_prefix_are_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets(tmp_path, monkeypatch, password=SECRET, **{"tls.crt": SECRET})
    (tmp_path / "keystore.p12").write_bytes(b"\xff\xfe")
    assert load() == Settings()


def test_a_file_that_is_not_utf_8_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets(tmp_path, monkeypatch)
    (tmp_path / "ORDERS_POSTGRES__DSN").write_bytes(b"\xff\xfe")
    assert refusal(monkeypatch) == "ORDERS_POSTGRES__DSN: the file is not UTF-8 text"


def test_an_unreadable_file_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, **_: Any) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    secrets(tmp_path, monkeypatch, ORDERS_POSTGRES__DSN=SECRET)
    monkeypatch.setattr(Path, "read_text", refuse)  # root can read any file
    assert refusal(monkeypatch) == "ORDERS_POSTGRES__DSN: cannot read the file (Permission denied)"


def test_an_unreadable_directory_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> list[str]:
        raise PermissionError(errno.EACCES, "Permission denied")

    secrets(tmp_path, monkeypatch)
    monkeypatch.setattr(os, "listdir", refuse)
    assert refusal(monkeypatch) == "ORDERS_SECRETS_DIR: cannot read the directory (Permission denied)"


def test_a_file_with_an_unknown_group_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets(tmp_path, monkeypatch, ORDERS_PSOTGRES__DSN=SECRET)
    assert refusal(monkeypatch) == "ORDERS_PSOTGRES__DSN: unknown setting"


def test_a_missing_directory_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = str(tmp_path / "missing")
    assert refusal(monkeypatch, ORDERS_SECRETS_DIR=missing) == "ORDERS_SECRETS_DIR: not a directory"


def test_a_retention_without_a_unit_is_rejected_because_it_could_mean_days(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = refusal(monkeypatch, ORDERS_RETENTION__MAX_AGE="400")
    assert "ORDERS_RETENTION__MAX_AGE: must be a number with a unit" in refused
    assert load_with(monkeypatch, ORDERS_RETENTION__MAX_AGE="400d").retention.max_age == 400 * 86_400
