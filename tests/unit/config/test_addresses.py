"""Addresses are validated before anything connects, and errors do not contain them."""

import pytest

from tests.kit.config import SECRET, load_with, refusal

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


@pytest.mark.parametrize(
    "url", ["https://grafana.example.com/d/orders?var-namespace=shop", "http://10.0.0.7:3000", "http://[::1]:9090/"]
)
def test_a_web_address_is_accepted_unchanged(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    assert load_with(monkeypatch, ORDERS_PAGE__GRAFANA_URL=url).page.grafana_url == url


@pytest.mark.parametrize(
    "url",
    [
        "javascript:secret()",
        "data:text/html,secret",
        "//secret.example.com",
        "grafana.secret",
        "https://",
        "https://secret:99999",
        "https://secret.example.com/a b",
        "https://secret.example.com\n",
        "https://[secret",
    ],
)
def test_an_address_that_is_not_of_the_web_is_rejected(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    line = refusal(monkeypatch, ORDERS_PAGE__GRAFANA_URL=url)
    assert line.startswith("ORDERS_PAGE__GRAFANA_URL: not a web address")
    assert "secret" not in line


def test_a_web_address_with_a_login_is_rejected_because_the_page_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    line = refusal(monkeypatch, ORDERS_PAGE__KAFKA_UI_URL="https://admin:secret@kafka.example.com")
    assert line.startswith("ORDERS_PAGE__KAFKA_UI_URL: the address must not contain a login")
    assert "secret" not in line
