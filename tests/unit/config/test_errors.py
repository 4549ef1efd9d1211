"""Settings that are rejected: errors name the variable or file, never a value."""

from pathlib import Path

import pytest

from service.config import load
from service.errors import InvalidSettings
from tests.kit.config import SECRET, load_with, refusal, secrets


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
