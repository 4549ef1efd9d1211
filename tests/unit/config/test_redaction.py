"""Secrets in printed settings."""

import pytest

from service.config import Settings, load
from service.config.redaction import redacted, redacted_dsn, redacted_variables
from tests.kit.config import SECRET


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


def test_each_setting_is_printed_as_its_environment_variable() -> None:
    kafka = {"properties": {"sasl.username": "me", "sasl.password": SECRET}}
    variables = redacted_variables(load(mode="api", kafka=kafka, http={"cors_origins": ["https://a.example"]}))
    assert variables["ORDERS_MODE"] == "api"
    assert variables["ORDERS_KAFKA__TOPIC"] == "orders"
    assert variables["ORDERS_KAFKA__PROPERTIES"] == '{"sasl.username": "me", "sasl.password": "***"}'
    assert variables["ORDERS_HTTP__CORS_ORIGINS"] == '["https://a.example"]'
    assert variables["ORDERS_HTTP__PORT"] == "8000"
    assert variables["ORDERS_POSTGRES__LISTEN_DSN"] == ""
