"""Every command with a local broker and PostgreSQL that require TLS."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import psycopg
import pytest

from local import postgres
from local.postgres import Postgres
from service.config import MigrationSettings
from service.repo.conninfo import Conninfo
from service.repo.schema.migrate import migrate
from tests.kit import servers, temporary, tls
from tests.kit.factories import order_document
from tests.kit.harness import Harness, Sent, orders
from tests.kit.processes import Service, Spawn
from tests.kit.tls import Authority
from tests.kit.waiting import eventually

KAFKA_PASSWORD, POSTGRES_PASSWORD, WRONG = "secret-of-kafka", "secret-of-postgresql", "not-that-secret"
KEY = "a-key-for-everything-here"
STREAM = ("--count", "60", "--seed", "7", "--invalid", "0.2")
TIMEOUT_SECONDS = 60.0

Settings = dict[str, str]


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that signed the servers' and the clients' certificates."""
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def other_ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("other-ca"))


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tls.postgres_programs(tmp_path_factory.mktemp("programs"))


@pytest.fixture(scope="module")
def kafka(ca: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tls.Kafka]:
    folder = tmp_path_factory.mktemp("kafka")
    with tls.kafka(folder, ca.sign("kafka"), ca, user="orders", password=KAFKA_PASSWORD) as running:
        servers.warm_up_kafka(running.broker.bootstrap_servers)
        yield running


@pytest.fixture(scope="module")
def server(ca: Authority, programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server where `shop` logs in by password and `certified` by certificate."""
    encryption = tls.postgres_tls(programs, ca.sign("postgresql"), ca)
    with postgres.postgres(tmp_path_factory.mktemp("postgres"), tls=encryption) as running:
        with psycopg.connect(running.dsn) as connection:
            connection.execute(f"CREATE ROLE shop SUPERUSER LOGIN PASSWORD '{POSTGRES_PASSWORD}'")
            connection.execute("CREATE ROLE certified SUPERUSER LOGIN")
        yield running


@pytest.fixture
def trusted(ca: Authority, tmp_path: Path) -> Path:
    """The file of the trusted authority."""
    return Path(shutil.copy(ca.certificate, tmp_path / "ca.crt"))


@pytest.fixture
def harness(kafka: tls.Kafka, server: Postgres, trusted: Path, spawn: Spawn) -> Iterator[Harness]:
    """Topics, and a database without a schema. The harness itself connects without TLS verification."""
    plain = kafka.broker.bootstrap_servers
    with temporary.topic(plain) as topic, temporary.database(server.dsn) as (name, dsn):
        address = urlsplit(dsn)
        settings = {
            "ORDERS_KAFKA__BOOTSTRAP_SERVERS": f"localhost:{kafka.sasl}",
            "ORDERS_KAFKA__TOPIC": topic,
            "ORDERS_KAFKA__DEAD_LETTER_TOPIC": f"{topic}.dlq",
            "ORDERS_KAFKA__GROUP_ID": topic,
            **SASL,
            "ORDERS_KAFKA__PROPERTIES__ssl.ca.location": str(trusted),
            "ORDERS_POSTGRES__DSN": f"postgresql://localhost:{address.port}/{name}",
            "PGUSER": "shop",
            "PGPASSWORD": POSTGRES_PASSWORD,
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": str(trusted),
            "ORDERS_MIGRATION__TIMEOUT": "8",
        }
        yield Harness(plain, topic, dsn, settings, spawn)


@pytest.fixture
def migrated(harness: Harness) -> Harness:
    migrate(Conninfo(harness.database), MigrationSettings())
    return harness


SASL = {
    "ORDERS_KAFKA__PROPERTIES": json.dumps({"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512"}),
    "ORDERS_KAFKA__PROPERTIES__sasl.username": "orders",
    "ORDERS_KAFKA__PROPERTIES__sasl.password": KAFKA_PASSWORD,
}


def run(harness: Harness, *command: str, code: int = 0) -> str:
    return output_at_exit(start(harness, *command), code=code)


def start(harness: Harness, *command: str) -> Service:
    return harness.spawn(*command, settings=harness.settings)


def output_at_exit(process: Service, *, code: int) -> str:
    """Wait for the process to exit and return its output."""
    assert process.process.wait(TIMEOUT_SECONDS) == code, process.tail()
    return output_of(process)


def output_of(process: Service) -> str:
    """Return the output, after checking that it contains no password."""
    text = process.log.read_text()
    assert not [secret for secret in (KAFKA_PASSWORD, POSTGRES_PASSWORD, WRONG) if secret in text]
    return text


def events(process: Service, event: str) -> list[dict[str, str]]:
    found = [json.loads(line) for line in output_of(process).splitlines() if line.startswith("{")]
    return [line for line in found if line["event"] == event]


def store_problems(consumer: Service) -> set[str]:
    return {line["problem"] for line in events(consumer, "storing failed and will be retried")}


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
def test_all_commands_work_over_tls_with_sasl(harness: Harness, mechanism: str, tmp_path: Path) -> None:
    harness = with_settings(harness, {"ORDERS_KAFKA__PROPERTIES__sasl.mechanism": mechanism})
    assert "schema: migrated from 0000" in run(harness, "migrate")
    keys = tmp_path / "keys"
    keys.write_text(f"read,dead-letters {KEY}\n")
    consumer = harness.consumer()
    api = start(with_keys(harness, keys), "api").ready()
    run(harness, "generate", *STREAM)
    run(harness, "check", *STREAM)
    assert "✗" not in run(with_keys(harness, keys), "doctor")
    run(with_keys(harness, keys), "smoke", "--url", api.url)
    assert "12 shown" in run(harness, "dlq", "list", "--max", "12")
    run(harness, "dlq", "replay", "--max", "1")
    run(harness, "rewind", "--to-timestamp", "2026-01-01T00:00:00Z", "--dry-run", code=1)  # the group has a member
    eventually(lambda: get(api, "/stats")["lag"] is not None, what="the API reads the lag")
    assert get(api, "/dead-letters?limit=1")["dead_letters"]
    assert (consumer.stop(), api.stop()) == (0, 0)
    assert output_of(consumer)
    assert output_of(api)


def with_settings(harness: Harness, settings: Settings) -> Harness:
    return replace(harness, settings={**harness.settings, **settings})


def with_keys(harness: Harness, keys: Path) -> Harness:
    return with_settings(harness, {"ORDERS_AUTH__KEYS_FILE": str(keys)})


def get(api: Service, path: str) -> dict[str, object]:
    with urlopen(Request(f"{api.url}{path}", headers={"X-API-Key": KEY}), timeout=10) as response:  # noqa: S310
        found: dict[str, object] = json.loads(response.read())
        return found


def test_a_client_certificate_replaces_user_and_password(harness: Harness, kafka: tls.Kafka, ca: Authority) -> None:
    client = ca.sign("certified")
    client.key.chmod(0o400)
    without_password = {name: value for name, value in harness.settings.items() if name not in {*SASL, "PGPASSWORD"}}
    certified = replace(
        harness,
        settings=without_password
        | {
            "ORDERS_KAFKA__BOOTSTRAP_SERVERS": f"localhost:{kafka.mutual}",
            "ORDERS_KAFKA__PROPERTIES__security.protocol": "SSL",
            "ORDERS_KAFKA__PROPERTIES__ssl.certificate.location": str(client.certificate),
            "ORDERS_KAFKA__PROPERTIES__ssl.key.location": str(client.key),
            "PGUSER": "certified",
            "PGSSLCERT": str(client.certificate),
            "PGSSLKEY": str(client.key),
        },
    )
    run(certified, "migrate")
    certified.consumer()
    run(certified, "generate", *STREAM)
    run(certified, "check", *STREAM)


KAFKA_ERRORS = {
    "untrusted CA": "TLS handshake failed: the broker's certificate is untrusted or does not match the host name",
    "wrong host name": "TLS handshake failed: the broker's certificate is untrusted or does not match the host name",
    "wrong password": "authentication failed: wrong user or password",
    "no TLS": "connection closed during the handshake: the listener may use another security.protocol",
    "no client certificate": "TLS handshake failed: the broker requires a client certificate, or rejected this one",
}
POSTGRES_ERRORS = {
    "untrusted CA": "TLS handshake failed: the server's certificate is not trusted",
    "wrong host name": "TLS handshake failed: the server's certificate is for another host name",
    "wrong password": "authentication failed: wrong or missing password",
    "no TLS": "authentication failed: pg_hba.conf does not allow this connection without TLS",
    "no client certificate": "authentication failed: the server requires a client certificate (sslcert, sslkey)",
    "world-readable key": "TLS handshake failed: cannot read the private key (sslkey): missing or too permissive",
}


@pytest.mark.parametrize("fault", KAFKA_ERRORS)
def test_tls_and_authentication_errors_of_kafka_are_reported_and_retried(
    migrated: Harness, kafka: tls.Kafka, other_ca: Authority, fault: str
) -> None:
    faulty = with_settings(
        migrated,
        {
            "untrusted CA": {"ORDERS_KAFKA__PROPERTIES__ssl.ca.location": str(other_ca.certificate)},
            "wrong host name": {"ORDERS_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{kafka.sasl}"},
            "wrong password": {"ORDERS_KAFKA__PROPERTIES__sasl.password": WRONG},
            "no TLS": {"ORDERS_KAFKA__PROPERTIES__security.protocol": "SASL_PLAINTEXT"},
            "no client certificate": {
                "ORDERS_KAFKA__BOOTSTRAP_SERVERS": f"localhost:{kafka.mutual}",
                "ORDERS_KAFKA__PROPERTIES__security.protocol": "SSL",
            },
        }[fault],
    )
    migrated.produce(*orders([order_document()]))
    consumer, doctor, migration = faulty.consumer(), start(faulty, "doctor"), start(faulty, "migrate")
    eventually(lambda: events(consumer, "cannot reach Kafka"), TIMEOUT_SECONDS, "the consumer logs it")
    line = f"{faulty.settings['ORDERS_KAFKA__BOOTSTRAP_SERVERS']}: {KAFKA_ERRORS[fault]}"
    assert f"✗ Kafka                  {line}" in output_at_exit(doctor, code=1)
    assert f"waiting for Kafka at {line}" in output_at_exit(migration, code=1)
    problems = [event["problem"] for event in events(consumer, "cannot reach Kafka")]
    assert set(problems) == {KAFKA_ERRORS[fault]}
    assert len(output_of(consumer).splitlines()) < 20
    assert migrated.committed() == {}
    assert consumer.stop() == 0


@pytest.mark.parametrize("fault", POSTGRES_ERRORS)
def test_tls_and_authentication_errors_of_postgresql_are_reported_and_retried(
    migrated: Harness, ca: Authority, other_ca: Authority, fault: str
) -> None:
    migrated.produce(*orders([order_document()]))
    client = ca.sign("shop")
    client.key.chmod(0o644)
    faulty = with_settings(
        migrated,
        {
            "untrusted CA": {"PGSSLROOTCERT": str(other_ca.certificate)},
            "wrong host name": {
                "ORDERS_POSTGRES__DSN": migrated.settings["ORDERS_POSTGRES__DSN"].replace("localhost", "127.0.0.1")
            },
            "wrong password": {"PGPASSWORD": WRONG},
            "no TLS": {"PGSSLMODE": "disable"},
            "no client certificate": {"PGUSER": "certified"},
            "world-readable key": {"PGSSLCERT": str(client.certificate), "PGSSLKEY": str(client.key)},
        }[fault]
        | {"ORDERS_MIGRATION__TIMEOUT": "4"},
    )
    failed = f"the connection to PostgreSQL failed: {POSTGRES_ERRORS[fault]}"
    consumer, api, doctor, migration = (start(faulty, name) for name in ("consumer", "api", "doctor", "migrate"))
    eventually(lambda: failed in store_problems(consumer), TIMEOUT_SECONDS, "the consumer logs it")
    eventually(lambda: events(api, "not receiving notifications"), TIMEOUT_SECONDS, "the API logs it")
    assert {line["problem"] for line in events(api, "not receiving notifications")} == {failed}
    assert re.search(rf"✗ PostgreSQL +\S+:\d+: {re.escape(POSTGRES_ERRORS[fault])}", output_at_exit(doctor, code=1))
    assert re.search(
        rf"for PostgreSQL at \S+:\d+: {re.escape(POSTGRES_ERRORS[fault])}", output_at_exit(migration, code=1)
    )
    assert migrated.stored() == set()
    assert migrated.committed() == {}
    assert migrated.dead_letters() == []
    assert (consumer.stop(), api.stop()) == (0, 0)


def test_a_new_ca_of_postgresql_is_loaded_without_a_restart(
    migrated: Harness, server: Postgres, ca: Authority, other_ca: Authority, trusted: Path
) -> None:
    consumer = migrated.consumer()
    first, second = orders([order_document(), order_document()])
    migrated.produce(first)
    migrated.wait_stored(uids := {uid_of(first)})
    replace_server_certificate(server, other_ca)
    migrated.produce(second)
    untrusted = "the connection to PostgreSQL failed: TLS handshake failed: the server's certificate is not trusted"
    eventually(lambda: untrusted in store_problems(consumer), TIMEOUT_SECONDS, "the certificate is rejected")
    trusted.write_text(other_ca.certificate.read_text())
    migrated.wait_stored(uids | {uid_of(second)})
    replace_server_certificate(server, ca)


def test_a_new_client_certificate_for_postgresql_is_loaded_without_a_restart(
    migrated: Harness, server: Postgres, ca: Authority, other_ca: Authority, tmp_path: Path
) -> None:
    certificate, key = tmp_path / "client.crt", tmp_path / "client.key"

    def sign(authority: Authority) -> None:
        signed = authority.sign("certified")
        certificate.write_text(signed.certificate.read_text())
        key.write_text(signed.key.read_text())
        key.chmod(0o600)

    sign(ca)
    certified = {"PGUSER": "certified", "PGSSLCERT": str(certificate), "PGSSLKEY": str(key)}
    consumer = with_settings(migrated, certified).consumer()
    first, second = orders([order_document(), order_document()])
    migrated.produce(first)
    migrated.wait_stored(uids := {uid_of(first)})
    replace_files(server, ssl_ca_file=other_ca.certificate)
    migrated.produce(second)
    rejected = "the connection to PostgreSQL failed: TLS handshake failed: the server rejected the client certificate"
    eventually(lambda: rejected in store_problems(consumer), TIMEOUT_SECONDS, "the certificate is rejected")
    sign(other_ca)
    migrated.wait_stored(uids | {uid_of(second)})
    replace_files(server, ssl_ca_file=ca.certificate)


def replace_server_certificate(server: Postgres, authority: Authority) -> None:
    certificate = authority.sign("postgresql-replaced")
    replace_files(server, ssl_cert_file=certificate.certificate, ssl_key_file=certificate.key)


def replace_files(server: Postgres, **files: Path) -> None:
    """Give the server these files by their settings, and terminate existing connections."""
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        for setting, path in files.items():
            row = connection.execute(f"SHOW {setting}".encode()).fetchone()
            assert row
            Path(row[0]).write_text(path.read_text())
        connection.execute("SELECT pg_reload_conf()")
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename IN ('shop', 'certified')"
        )


def test_a_new_ca_of_the_broker_requires_a_restart_unless_the_file_has_both(
    migrated: Harness, kafka: tls.Kafka, ca: Authority, other_ca: Authority, tmp_path: Path
) -> None:
    single, both = tmp_path / "single.crt", tmp_path / "both.crt"
    single.write_text(ca.certificate.read_text())
    both.write_text(ca.certificate.read_text() + other_ca.certificate.read_text())
    single_ca_consumer = trusting(migrated, single).consumer()
    eventually(lambda: events(single_ca_consumer, "partitions changed"), TIMEOUT_SECONDS, "the consumer has partitions")
    replace_certificate(kafka, other_ca)
    single.write_text(other_ca.certificate.read_text())
    (first,) = orders([order_document()])
    migrated.produce(first)
    untrusted = KAFKA_ERRORS["untrusted CA"]
    eventually(
        lambda: untrusted in {line["problem"] for line in events(single_ca_consumer, "cannot reach Kafka")},
        TIMEOUT_SECONDS,
    )
    assert migrated.stored() == set()
    assert single_ca_consumer.stop() == 0
    consumer = trusting(migrated, both).consumer()
    migrated.wait_stored(uids := {uid_of(first)}, TIMEOUT_SECONDS)
    replace_certificate(kafka, ca)
    (second,) = orders([order_document()])
    migrated.produce(second)
    migrated.wait_stored(uids | {uid_of(second)}, TIMEOUT_SECONDS)
    assert consumer.stop() == 0


def trusting(harness: Harness, authority: Path) -> Harness:
    return with_settings(harness, {"ORDERS_KAFKA__PROPERTIES__ssl.ca.location": str(authority)})


def uid_of(sent: Sent) -> str:
    assert sent.key
    return sent.key.decode()


def replace_certificate(kafka: tls.Kafka, authority: Authority) -> None:
    kafka.broker.stop()
    kafka.store.write_text(authority.sign("kafka-replaced").both)
    kafka.broker.start()
