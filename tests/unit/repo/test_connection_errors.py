"""libpq's texts are replaced by standard phrases, which contain no user, host or row."""

import psycopg
import pytest

from service.repo.connection_errors import address, describe, describe_with_address, phrase

TLS = "TLS handshake failed: "
AUTHENTICATION = "authentication failed: "
DSN = "postgresql://me:hunter2@db.example/orders"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('could not translate host name "db" to address: Name or service not known', "host name does not resolve"),
        ('connection to server at "db" (10.0.0.1), port 5432 failed: Connection refused', "connection refused"),
        ('connection to server on socket "/x/.s.PGSQL.5432" failed: No such file or directory', "no such socket"),
        ("connection timeout expired", "timed out"),
        ("FATAL:  the database system is starting up", "the server is starting up"),
        ('root certificate file "/ca.crt" does not exist', f"{TLS}cannot read the CA certificate (sslrootcert)"),
        (
            'private key file "/tls.key" has group or world access',
            f"{TLS}cannot read the private key (sslkey): missing or too permissive",
        ),
        ('could not open certificate file "/tls.crt"', f"{TLS}cannot read the client certificate (sslcert)"),
        (
            'server certificate for "a" does not match host name "db"',
            f"{TLS}the server's certificate is for another host name",
        ),
        ("SSL error: certificate verify failed", f"{TLS}the server's certificate is not trusted"),
        (
            "FATAL:  connection requires a valid client certificate",
            f"{AUTHENTICATION}the server requires a client certificate (sslcert, sslkey)",
        ),
        ("SSL error: tlsv1 alert unknown ca", f"{TLS}the server rejected the client certificate"),
        ('FATAL:  password authentication failed for user "me"', f"{AUTHENTICATION}wrong or missing password"),
        (
            'FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "me", no encryption',
            f"{AUTHENTICATION}pg_hba.conf does not allow this connection without TLS",
        ),
        (
            'FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "me", SSL encryption',
            f"{AUTHENTICATION}pg_hba.conf does not allow this connection",
        ),
        ("FATAL:  the database system is not yet accepting connections", "the server is starting up"),
        ("FATAL:  the database system is in recovery mode", "the server is starting up"),
        ("FATAL:  sorry, too many clients already", "too many connections"),
        ('FATAL:  too many connections for role "me"', "too many connections"),
        ('FATAL:  too many connections for database "orders"', "too many connections"),
        ('FATAL:  database "orders" does not exist', "the database does not exist"),
        ('FATAL:  role "me" does not exist', "the role does not exist"),
        ("server closed the connection unexpectedly", "the server closed the connection"),
    ],
)
def test_an_error_of_libpq_has_a_standard_phrase(text: str, expected: str) -> None:
    assert phrase(psycopg.OperationalError(text)) == expected


def test_an_unknown_error_is_reported_without_its_text() -> None:
    error = psycopg.OperationalError("hunter2")
    assert phrase(error) is None
    assert describe(error) == "the connection to PostgreSQL failed"
    assert describe_with_address(error, DSN) == "db.example:5432: no connection"


def test_a_known_error_is_described_by_its_phrase() -> None:
    error = psycopg.OperationalError("Connection refused")
    assert describe(error) == "the connection to PostgreSQL failed: connection refused"
    assert describe_with_address(error, DSN) == "db.example:5432: connection refused"


@pytest.mark.parametrize(
    ("dsn", "expected"),
    [
        (DSN, "db.example:5432"),
        ("postgresql://a:1,b:2/orders", "a:1,b:2"),
        ("host=a,b port=6432", "a:6432,b:6432"),
        ("host=a,b port=,6432", "a:5432,b:6432"),
        ("hostaddr=10.0.0.1", "10.0.0.1:5432"),
        ("host=/run/postgresql port=6432", "/run/postgresql"),
        ("dbname=orders", "the local socket"),
    ],
)
def test_an_address_has_the_host_and_the_port_only(dsn: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGHOSTADDR", "PGPORT"):
        monkeypatch.delenv(name, raising=False)
    assert address(dsn) == expected


def test_an_address_that_the_connection_string_lacks_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGHOST", "db")
    monkeypatch.setenv("PGPORT", "7")
    assert address("dbname=orders") == "db:7"
    assert address("host=other") == "other:7"
