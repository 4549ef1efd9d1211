"""Loading settings from the environment and from files; errors name the variable, never its value."""

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from service import config
from service.config import Settings, load
from service.config.redaction import redacted, redacted_dsn
from service.errors import InvalidSettings

SECRET = "hunter2-and-more"  # noqa: S105 - must never appear in any output


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if name.startswith("ORDERS_"):
            monkeypatch.delenv(name)


def load_with(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return load()


def refusal(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    with pytest.raises(InvalidSettings) as refused:
        load_with(monkeypatch, **variables)
    assert "\n" not in str(refused.value)
    assert SECRET not in str(refused.value)
    return str(refused.value)


def setting(settings: Settings, variable: str) -> Any:
    value: Any = settings
    for name in variable.removeprefix("ORDERS_").lower().split("__"):
        value = getattr(value, name)
    return value


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
    "ORDERS_POSTGRES__DSN": "postgresql://localhost/orders",
    "ORDERS_HTTP__HOST": "0.0.0.0",  # noqa: S104 - a default, not an address to bind
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


def secrets(folder: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> Path:
    """Write files as Kubernetes mounts a Secret: symbolic links into a directory that is replaced atomically."""
    data = folder / "..2026_11_23_10_00_00.1"
    data.mkdir()
    (folder / "..data").symlink_to(data.name)
    for name, text in files.items():
        (data / name).write_text(text)
        (folder / name).symlink_to(Path("..data") / name)
    monkeypatch.setenv("ORDERS_SECRETS_DIR", str(folder))
    return folder


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


# Rejected values


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


SERVERS = [
    "kafka:99999", "kafka:0", "kafka", ":9092", "a:9092,,b:9092", "a:9092,", "kafka://a:9092", "SASL_SSL://a:9092",
    "a b:9092", "a:9092 b:9092", "::1:9092", "a:9092;b:9092", f"me:{SECRET}@a:9092", "a:port",
]  # fmt: skip
DSNS = [
    "postgres//x", "mysql://db/orders", "postgresql://db:99999/orders", "postgresql://db:0/orders", "host=db port=x",
    f"postgresql://me:{SECRET}@db:{SECRET}/orders", f"host=db password={SECRET} nonsense", "db.example",
    "host=db hots=x", "host=a,b,c port=1,2", "postgresql://db/orders?sslmode=on",
    "postgresql://db/o?connect_timeout=5s", "postgresql://db/%zz",
]  # fmt: skip


@pytest.mark.parametrize("servers", SERVERS)
def test_an_invalid_list_of_brokers_is_rejected(monkeypatch: pytest.MonkeyPatch, servers: str) -> None:
    line = refusal(monkeypatch, ORDERS_KAFKA__BOOTSTRAP_SERVERS=servers)
    assert line.startswith("ORDERS_KAFKA__BOOTSTRAP_SERVERS: ")
    assert line.endswith("use host:port,host:port")


@pytest.mark.parametrize(
    ("servers", "normalized"),
    [
        ("a_b-c.example:1, 10.0.0.1:65535 ,[::1]:9092", "a_b-c.example:1,10.0.0.1:65535,[::1]:9092"),
        ("kafka:9092", "kafka:9092"),
    ],
)
def test_spaces_in_a_list_of_brokers_are_removed(
    monkeypatch: pytest.MonkeyPatch, servers: str, normalized: str
) -> None:
    assert load_with(monkeypatch, ORDERS_KAFKA__BOOTSTRAP_SERVERS=servers).kafka.bootstrap_servers == normalized


@pytest.mark.parametrize("variable", ["ORDERS_POSTGRES__DSN", "ORDERS_POSTGRES__LISTEN_DSN"])
@pytest.mark.parametrize("dsn", DSNS)
def test_a_connection_string_that_libpq_rejects_is_rejected(
    monkeypatch: pytest.MonkeyPatch, variable: str, dsn: str
) -> None:
    assert refusal(monkeypatch, **{variable: dsn}).startswith(f"{variable}: ")


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://a:5432,b:5433/orders?target_session_attrs=read-write",
        "postgresql://a,b:5433/orders",
        "host=a,b port=5432 dbname=orders sslmode=verify-full",
        "postgresql:///orders?host=/var/run/postgresql",
        "service=orders",
        "postgresql://me:p%40ss@[::1]:5432/orders",
    ],
)
def test_a_valid_connection_string_is_accepted_unchanged(monkeypatch: pytest.MonkeyPatch, dsn: str) -> None:
    assert load_with(monkeypatch, ORDERS_POSTGRES__DSN=dsn).postgres.dsn == dsn


@pytest.mark.parametrize(
    ("text", "dsns"),
    [
        ("host=a,b dbname=orders", ["host=a,b dbname=orders"]),
        (' ["postgresql://a,b/orders", "host=c"]', ["postgresql://a,b/orders", "host=c"]),
        ("", ["postgresql://localhost/orders"]),
    ],
)
def test_listen_dsn_is_one_connection_string_or_a_list(
    monkeypatch: pytest.MonkeyPatch, text: str, dsns: list[str]
) -> None:
    assert load_with(monkeypatch, ORDERS_POSTGRES__LISTEN_DSN=text).postgres.listen_dsns == dsns


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('["host=a", "secret"]', "entry 2 of 2: not a libpq connection string"),
        ('["host=a", "host=b port=secret"]', "entry 2 of 2: port must be"),
        ('["host=secret"', "invalid JSON"),
        ("[]", "a JSON list must contain connection strings"),
        ("[1]", "a JSON list must contain connection strings"),
    ],
)
def test_an_invalid_list_of_connection_strings_is_rejected_without_its_text(
    monkeypatch: pytest.MonkeyPatch, text: str, problem: str
) -> None:
    line = refusal(monkeypatch, ORDERS_POSTGRES__LISTEN_DSN=text)
    assert line.startswith(f"ORDERS_POSTGRES__LISTEN_DSN: {problem}")
    assert "secret" not in line


@pytest.mark.parametrize("variable", ["ORDERS_KAFKA__PROPERTIES", "ORDERS_HTTP__CORS_ORIGINS", "ORDERS_KAFKA"])
def test_an_error_for_invalid_json_names_the_whole_variable(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    assert refusal(monkeypatch, **{variable: f"{{{SECRET}"}) == f"{variable}: invalid JSON"


def test_an_error_for_invalid_json_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets(tmp_path, monkeypatch, ORDERS_KAFKA__PROPERTIES=f"{{{SECRET}")
    assert refusal(monkeypatch) == "ORDERS_KAFKA__PROPERTIES: invalid JSON"


@pytest.mark.parametrize(
    ("properties", "problem"),
    [
        (f'["{SECRET}"]', "must be a JSON object"),
        (f'"{SECRET}"', "must be a JSON object"),
        (f'{{"sasl.password": ["{SECRET}"]}}', "sasl.password must be a string, a number or a boolean"),
        ('{"sasl.password": null}', "sasl.password must be a string, a number or a boolean"),
    ],
)
def test_properties_of_the_wrong_type_are_rejected_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, properties: str, problem: str
) -> None:
    assert refusal(monkeypatch, ORDERS_KAFKA__PROPERTIES=properties) == f"ORDERS_KAFKA__PROPERTIES: {problem}"


@pytest.mark.parametrize(
    "properties", [f'{{"sasl.password": "{SECRET}"', SECRET, f'["{SECRET}"]', f'{{"sasl.password": ["{SECRET}"]}}']
)
def test_properties_that_are_not_a_json_object_of_scalars_are_rejected(
    monkeypatch: pytest.MonkeyPatch, properties: str
) -> None:
    assert refusal(monkeypatch, ORDERS_KAFKA__PROPERTIES=properties).startswith("ORDERS_KAFKA")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("partition.assignment.strategy", "the consumer supports incremental rebalancing only (cooperative-sticky)"),
        ("enable.auto.commit", "the consumer commits offsets itself, after it has stored the orders"),
        ("group.id", "set ORDERS_KAFKA__GROUP_ID"),
        ("stats_cb", "it takes a Python function"),
        ("topic.blacklist", "the consumer would get no partitions of a topic in this list"),
        ("test.mock.num.brokers", "it replaces the brokers with simulated ones"),
        ("statistics.interval.ms", "the consumer measures its lag with librdkafka's statistics"),
        ("topic.metadata.refresh.interval.ms", "the consumer detects new partitions within 10 s"),
        ("group.protocol.type", "`consumer` is the only group type that the consumer supports"),
        ("plugin.library.paths", "it loads code into the process"),
        ("internal.termination.signal", "librdkafka would handle this signal instead of the service"),
    ],
)
def test_reserved_properties_are_rejected_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, name: str, reason: str
) -> None:
    line = refusal(monkeypatch, ORDERS_KAFKA__PROPERTIES=f'{{"{name}": "{SECRET}"}}')
    assert line == f"ORDERS_KAFKA__PROPERTIES: {name} cannot be set here: {reason}"


def test_the_order_topic_and_the_dead_letter_topic_must_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    line = refusal(monkeypatch, ORDERS_KAFKA__TOPIC="a", ORDERS_KAFKA__DEAD_LETTER_TOPIC="a")
    assert line == "ORDERS_KAFKA: topic and dead_letter_topic must differ"


def test_overrides_are_validated() -> None:
    with pytest.raises(InvalidSettings, match="ORDERS_BATCH__MAX_MESSAGES"):
        load(batch={"max_messages": 0})


# Redaction


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("postgresql://localhost/orders", "postgresql://localhost/orders"),
        (f"postgresql://me:{SECRET}@db:5433/orders?sslmode=require", "postgresql://me@db:5433/orders"),
        (f"postgres://:{SECRET}@db/orders", "postgres://db/orders"),
        (f"postgresql://db/orders?password={SECRET}", "postgresql://db/orders"),
        (f"postgresql://me:{SECRET}@one,two:5433/orders", "postgresql://me@one,two:5433/orders"),
        (f"postgresql://me:a@{SECRET}@db/orders", "postgresql://me@db/orders"),
        (f"postgresql://me:a/{SECRET}@db/orders", "***"),
        (f"postgresql://me:a#{SECRET}@db/orders", "***"),
        (f"postgresql://me:a?{SECRET}@db/orders", "***"),
        ("postgresql://me@[::1]:5432/orders", "postgresql://me@[::1]:5432/orders"),
        (f"host=db password={SECRET}", "***"),
        (f"mysql://me:{SECRET}@db/orders", "***"),
        (None, None),
    ],
)
def test_secrets_in_connection_strings_are_redacted(dsn: str | None, shown: str | None) -> None:
    assert redacted_dsn(dsn) == shown


def test_the_redacted_settings_contain_every_setting_and_no_secret() -> None:
    properties = {
        "sasl.username": "me",
        "sasl.password": SECRET,
        "sasl.jaas.config": SECRET,
        "ssl.key.pem": SECRET,
        "ssl.key.password": SECRET,
        "ssl.keystore.password": SECRET,
        "sasl.oauthbearer.client.secret": SECRET,
        "sasl.oauthbearer.config": SECRET,
        "sasl.oauthbearer.assertion.private.key.pem": SECRET,
        "sasl.oauthbearer.assertion.private.key.passphrase": SECRET,
        "SASL.PASSWORD": SECRET,
        "ssl.ca.location": "/ca.pem",
    }
    kafka = {"properties": properties}
    postgres = {"dsn": f"postgresql://me:{SECRET}@db/orders", "listen_dsn": f"host=db password={SECRET}"}
    dump = redacted(load(kafka=kafka, postgres=postgres))
    assert SECRET not in str(dump)
    assert dump.keys() == Settings.model_fields.keys()
    assert dump["kafka"]["properties"]["sasl.username"] == "me"
    assert dump["kafka"]["properties"]["ssl.ca.location"] == "/ca.pem"
    assert dump["postgres"]["dsn"] == "postgresql://me@db/orders"


def test_a_list_of_connection_strings_is_printed_without_secrets() -> None:
    listen = f'["postgresql://me:{SECRET}@a/orders", "host=b password={SECRET}"]'
    dump = redacted(load(postgres={"listen_dsn": listen}))
    assert dump["postgres"]["listen_dsn"] == '["postgresql://me@a/orders", "***"]'
