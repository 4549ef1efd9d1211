"""Everything over TLS, to a broker and a PostgreSQL that let nobody in without: processes of this machine."""

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
from service.config import Migration
from service.repo.migrate import migrate
from tests import servers, temporary, tls
from tests.factories import order_document
from tests.harness import Harness, Sent, orders
from tests.processes import Service, Spawn
from tests.tls import Authority
from tests.waiting import eventually

KAFKA_PASSWORD, POSTGRES_PASSWORD, WRONG = "secret-of-kafka", "secret-of-postgresql", "not-that-secret"
KEY = "a-key-for-everything-here"
STREAM = ("--count", "60", "--seed", "7", "--invalid", "0.2")
SECONDS = 60.0

Settings = dict[str, str]


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signed the servers' certificates, and those of clients."""
    return Authority(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def another(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("another"))


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tls.postgres_programs(tmp_path_factory.mktemp("programs"))


@pytest.fixture(scope="module")
def kafka(ours: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tls.Kafka]:
    folder = tmp_path_factory.mktemp("kafka")
    with tls.kafka(folder, ours.sign("kafka"), ours, user="orders", password=KAFKA_PASSWORD) as running:
        servers.warm_up_kafka(running.broker.bootstrap_servers)
        yield running


@pytest.fixture(scope="module")
def server(ours: Authority, programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """Lets the role `shop` in with its password and `certified` with a certificate."""
    encryption = tls.postgres_tls(ours.sign("postgresql"), ours)
    with postgres.postgres(tmp_path_factory.mktemp("postgres"), tls=encryption, package=programs) as running:
        with psycopg.connect(running.dsn) as connection:
            connection.execute(f"CREATE ROLE shop SUPERUSER LOGIN PASSWORD '{POSTGRES_PASSWORD}'")
            connection.execute("CREATE ROLE certified SUPERUSER LOGIN")
        yield running


@pytest.fixture
def trusted(ours: Authority, tmp_path: Path) -> Path:
    """The authority that we trust, in a file of its own."""
    return Path(shutil.copy(ours.certificate, tmp_path / "ca.crt"))


@pytest.fixture
def harness(kafka: tls.Kafka, server: Postgres, trusted: Path, spawn: Spawn) -> Iterator[Harness]:
    """Topics, and a database without a schema. The harness reads them with a client that trusts everyone."""
    plain = kafka.broker.bootstrap_servers
    with temporary.topic(plain) as topic, temporary.database(server.dsn) as (name, dsn):
        where = urlsplit(dsn)
        settings = {
            "ORDERS_KAFKA__BOOTSTRAP_SERVERS": f"localhost:{kafka.sasl}",
            "ORDERS_KAFKA__TOPIC": topic,
            "ORDERS_KAFKA__DEAD_LETTER_TOPIC": f"{topic}.dlq",
            "ORDERS_KAFKA__GROUP_ID": topic,
            **SASL,
            "ORDERS_KAFKA__PROPERTIES__ssl.ca.location": str(trusted),
            "ORDERS_POSTGRES__DSN": f"postgresql://localhost:{where.port}/{name}",
            "PGUSER": "shop",
            "PGPASSWORD": POSTGRES_PASSWORD,
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": str(trusted),
            "ORDERS_MIGRATION__TIMEOUT": "8",
        }
        yield Harness(plain, topic, dsn, settings, spawn)


@pytest.fixture
def migrated(harness: Harness) -> Harness:
    migrate(harness.database, Migration())
    return harness


SASL = {
    "ORDERS_KAFKA__PROPERTIES": json.dumps({"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512"}),
    "ORDERS_KAFKA__PROPERTIES__sasl.username": "orders",
    "ORDERS_KAFKA__PROPERTIES__sasl.password": KAFKA_PASSWORD,
}


def run(harness: Harness, *command: str, code: int = 0) -> str:
    return ended(begun(harness, *command), code=code)


def begun(harness: Harness, *command: str) -> Service:
    return harness.spawn(*command, settings=harness.settings)


def ended(process: Service, *, code: int) -> str:
    """Wait for the end and return what was printed."""
    assert process.process.wait(SECONDS) == code, process.tail()
    return told(process)


def told(process: Service) -> str:
    """Return what was printed; no password may be in it."""
    text = process.log.read_text()
    assert not [secret for secret in (KAFKA_PASSWORD, POSTGRES_PASSWORD, WRONG) if secret in text]
    return text


def lines(process: Service, event: str) -> list[dict[str, str]]:
    found = [json.loads(line) for line in told(process).splitlines() if line.startswith("{")]
    return [line for line in found if line["event"] == event]


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
def test_orders_and_dead_letters_go_all_the_way(harness: Harness, mechanism: str, tmp_path: Path) -> None:
    harness = changed(harness, {"ORDERS_KAFKA__PROPERTIES__sasl.mechanism": mechanism})
    assert "schema: migrated from 0000" in run(harness, "migrate")
    keys = tmp_path / "keys"
    keys.write_text(f"read,dead-letters {KEY}\n")
    consumer = harness.consumer()
    api = begun(with_keys(harness, keys), "api").ready()
    run(harness, "generate", *STREAM)
    run(harness, "check", *STREAM)
    assert "✗" not in run(with_keys(harness, keys), "doctor")
    run(with_keys(harness, keys), "smoke", "--url", api.url)
    assert "12 shown" in run(harness, "dlq", "list", "--max", "12")
    run(harness, "dlq", "replay", "--max", "1")
    run(harness, "rewind", "--to-timestamp", "2026-01-01T00:00:00Z", "--dry-run", code=1)  # the group has a member
    eventually(lambda: asked(api, "/stats")["lag"] is not None, what="the API asks Kafka")
    assert asked(api, "/dead-letters?limit=1")["dead_letters"]
    assert (consumer.stop(), api.stop()) == (0, 0)
    assert told(consumer)
    assert told(api)


def changed(harness: Harness, settings: Settings) -> Harness:
    return replace(harness, settings={**harness.settings, **settings})


def with_keys(harness: Harness, keys: Path) -> Harness:
    return changed(harness, {"ORDERS_AUTH__KEYS_FILE": str(keys)})


def asked(api: Service, path: str) -> dict[str, object]:
    with urlopen(Request(f"{api.url}{path}", headers={"X-API-Key": KEY}), timeout=10) as answer:  # noqa: S310
        found: dict[str, object] = json.loads(answer.read())
        return found


def test_a_certificate_takes_the_place_of_user_and_password(
    harness: Harness, kafka: tls.Kafka, ours: Authority
) -> None:
    client = ours.sign("certified")
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


KAFKA_TROUBLES = {
    "another authority": "TLS handshake failed: the broker's certificate is untrusted or does not match the host name",
    "another name": "TLS handshake failed: the broker's certificate is untrusted or does not match the host name",
    "another password": "authentication failed: wrong user or password",
    "no TLS": "connection closed during the handshake: the listener may use another security.protocol",
    "no certificate": "TLS handshake failed: the broker requires a client certificate, or rejected this one",
}
POSTGRES_TROUBLES = {
    "another authority": "TLS handshake failed: the server's certificate is not trusted",
    "another name": "TLS handshake failed: the server's certificate is for another host name",
    "another password": "authentication failed: wrong or missing password",
    "no TLS": "authentication failed: pg_hba.conf does not allow this connection without TLS",
    "no certificate": "authentication failed: the server requires a client certificate (sslcert, sslkey)",
    "a key for everybody": "TLS handshake failed: cannot read the private key (sslkey): missing or too permissive",
}


@pytest.mark.parametrize("trouble", KAFKA_TROUBLES)
def test_a_broker_that_is_not_to_be_trusted_or_does_not_trust_us_is_named_and_waited_for(
    migrated: Harness, kafka: tls.Kafka, another: Authority, trouble: str
) -> None:
    wrong = changed(
        migrated,
        {
            "another authority": {"ORDERS_KAFKA__PROPERTIES__ssl.ca.location": str(another.certificate)},
            "another name": {"ORDERS_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{kafka.sasl}"},
            "another password": {"ORDERS_KAFKA__PROPERTIES__sasl.password": WRONG},
            "no TLS": {"ORDERS_KAFKA__PROPERTIES__security.protocol": "SASL_PLAINTEXT"},
            "no certificate": {
                "ORDERS_KAFKA__BOOTSTRAP_SERVERS": f"localhost:{kafka.mutual}",
                "ORDERS_KAFKA__PROPERTIES__security.protocol": "SSL",
            },
        }[trouble],
    )
    migrated.produce(*orders([order_document()]))
    consumer, doctor, migration = wrong.consumer(), begun(wrong, "doctor"), begun(wrong, "migrate")
    eventually(lambda: lines(consumer, "cannot reach Kafka"), SECONDS, "the consumer says so")
    at = f"{wrong.settings['ORDERS_KAFKA__BOOTSTRAP_SERVERS']}: {KAFKA_TROUBLES[trouble]}"
    assert f"✗ Kafka                  {at}" in ended(doctor, code=1)
    assert f"waiting for Kafka at {at}" in ended(migration, code=1)
    said = [line["problem"] for line in lines(consumer, "cannot reach Kafka")]
    assert set(said) == {KAFKA_TROUBLES[trouble]}
    assert len(told(consumer).splitlines()) < 20
    assert migrated.committed() == {}
    assert consumer.stop() == 0


@pytest.mark.parametrize("trouble", POSTGRES_TROUBLES)
def test_a_postgresql_that_is_not_to_be_trusted_or_does_not_trust_us_is_named_and_waited_for(
    migrated: Harness, ours: Authority, another: Authority, trouble: str
) -> None:
    migrated.produce(*orders([order_document()]))
    client = ours.sign("shop")
    client.key.chmod(0o644)
    wrong = changed(
        migrated,
        {
            "another authority": {"PGSSLROOTCERT": str(another.certificate)},
            "another name": {
                "ORDERS_POSTGRES__DSN": migrated.settings["ORDERS_POSTGRES__DSN"].replace("localhost", "127.0.0.1")
            },
            "another password": {"PGPASSWORD": WRONG},
            "no TLS": {"PGSSLMODE": "disable"},
            "no certificate": {"PGUSER": "certified"},
            "a key for everybody": {"PGSSLCERT": str(client.certificate), "PGSSLKEY": str(client.key)},
        }[trouble],
    )
    failed = f"the connection to PostgreSQL failed: {POSTGRES_TROUBLES[trouble]}"
    consumer, api, doctor, migration = (begun(wrong, name) for name in ("consumer", "api", "doctor", "migrate"))
    eventually(lambda: lines(consumer, failed), SECONDS, "the consumer says so")
    eventually(lambda: lines(api, "not receiving notifications"), SECONDS, "the API says so")
    assert {line["reason"] for line in lines(api, "not receiving notifications")} == {failed}
    assert re.search(rf"✗ PostgreSQL +\S+:\d+: {re.escape(POSTGRES_TROUBLES[trouble])}", ended(doctor, code=1))
    assert re.search(rf"for PostgreSQL at \S+:\d+: {re.escape(POSTGRES_TROUBLES[trouble])}", ended(migration, code=1))
    assert migrated.stored() == set()
    assert migrated.committed() == {}
    assert migrated.dead_letters() == []
    assert (consumer.stop(), api.stop()) == (0, 0)


def test_another_authority_of_postgresql_is_taken_from_its_file_without_a_restart(
    migrated: Harness, server: Postgres, ours: Authority, another: Authority, trusted: Path
) -> None:
    consumer = migrated.consumer()
    first, second = orders([order_document(), order_document()])
    migrated.produce(first)
    migrated.wait_stored(uids := {uid_of(first)})
    show(server, another)
    migrated.produce(second)
    untrusted = "the connection to PostgreSQL failed: TLS handshake failed: the server's certificate is not trusted"
    eventually(lambda: lines(consumer, untrusted), SECONDS, "it is refused")
    trusted.write_text(another.certificate.read_text())
    migrated.wait_stored(uids | {uid_of(second)})
    show(server, ours)


def show(server: Postgres, authority: Authority) -> None:
    """Let the server show a certificate that this authority signed, to everybody anew."""
    certificate = authority.sign("postgresql-anew")
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        for setting, path in ("ssl_cert_file", certificate.certificate), ("ssl_key_file", certificate.key):
            row = connection.execute(f"SHOW {setting}").fetchone()
            assert row
            Path(row[0]).write_text(path.read_text())
        connection.execute("SELECT pg_reload_conf()")
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'shop'")


def test_another_authority_of_the_broker_takes_a_restart_unless_its_file_has_both(
    migrated: Harness, kafka: tls.Kafka, ours: Authority, another: Authority, tmp_path: Path
) -> None:
    changing, both = tmp_path / "changing.crt", tmp_path / "both.crt"
    changing.write_text(ours.certificate.read_text())
    both.write_text(ours.certificate.read_text() + another.certificate.read_text())
    alone = trusting(migrated, changing).consumer()
    eventually(lambda: lines(alone, "partitions changed"), SECONDS, "it reads")
    replace_certificate(kafka, another)
    changing.write_text(another.certificate.read_text())
    (first,) = orders([order_document()])
    migrated.produce(first)
    untrusted = KAFKA_TROUBLES["another authority"]
    eventually(lambda: untrusted in {line["problem"] for line in lines(alone, "cannot reach Kafka")}, SECONDS)
    assert migrated.stored() == set()
    assert alone.stop() == 0
    consumer = trusting(migrated, both).consumer()
    migrated.wait_stored(uids := {uid_of(first)}, SECONDS)
    replace_certificate(kafka, ours)
    (second,) = orders([order_document()])
    migrated.produce(second)
    migrated.wait_stored(uids | {uid_of(second)}, SECONDS)
    assert consumer.stop() == 0


def trusting(harness: Harness, authority: Path) -> Harness:
    return changed(harness, {"ORDERS_KAFKA__PROPERTIES__ssl.ca.location": str(authority)})


def uid_of(sent: Sent) -> str:
    assert sent.key
    return sent.key.decode()


def replace_certificate(kafka: tls.Kafka, authority: Authority) -> None:
    kafka.broker.stop()
    kafka.store.write_text(authority.sign("kafka-anew").both)
    kafka.broker.start()
