"""Explaining connection failures from log lines that librdkafka 2.16 wrote."""

import pytest

from service.handler.kafka.client.connection_errors import BOOTSTRAP_SERVERS, ConnectionFailure, explain

PREFIX = "FAIL [orders#consumer-1] [thrd:sasl_ssl://localhost:9093/bootstrap]: sasl_ssl://localhost:9093/bootstrap: "
UNTRUSTED = f"{PREFIX}SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker certificate"
REFUSED = f"{PREFIX}Connect to ipv6#[::1]:9093 failed: Connection refused (after 0ms in state CONNECT)"
OTHER = f"{PREFIX}Something else (after 6000ms in state UP)"


def failure(text: str) -> ConnectionFailure:
    found = explain([text])
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "cause", "check"),
    [
        (UNTRUSTED, "TLS handshake failed: the broker's certificate is untrusted", "ssl.ca.location"),
        (
            f"{PREFIX}SASL authentication error: Authentication failed due to invalid credentials",
            "authentication failed: wrong user or password",
            "sasl.username and sasl.password",
        ),
        (
            f"{PREFIX}SASL SCRAM-SHA-256 mechanism handshake failed: Broker: Unsupported SASL mechanism: supported",
            "authentication failed: the broker does not support this SASL mechanism",
            "sasl.mechanism",
        ),
        (
            f"{PREFIX}Receive failed: SSL routines::tls alert bad certificate (after 1ms in state APIVERSION_QUERY)",
            "TLS handshake failed: the broker requires a client certificate",
            "ssl.certificate.location and ssl.key.location",
        ),
        (
            f"{PREFIX}Disconnected: connection closed by peer: receive 0 (after 1ms in state APIVERSION_QUERY)",
            "connection closed during the handshake",
            "security.protocol",
        ),
        (
            f"{PREFIX}Receive failed: Invalid response size 1213486160 (0..100000000): (after 0ms in state UP)",
            "the server does not speak the Kafka protocol",
            BOOTSTRAP_SERVERS,
        ),
        (
            f"{PREFIX}Failed to resolve 'localhost:9093': Name or service not known (after 0ms in state CONNECT)",
            "host name does not resolve",
            BOOTSTRAP_SERVERS,
        ),
        (f"{PREFIX}1 request(s) timed out: disconnect (after 6000ms in state UP)", "timed out", BOOTSTRAP_SERVERS),
        (REFUSED, "connection refused", BOOTSTRAP_SERVERS),
    ],
)
def test_a_failure_names_address_cause_and_the_setting_to_check(text: str, cause: str, check: str) -> None:
    found = failure(text)
    assert (found.address, found.cause[: len(cause)], found.check[: len(check)]) == ("localhost:9093", cause, check)


@pytest.mark.parametrize(
    "thread", ["[thrd:shop-kafka-0:9092/7]: shop-kafka-0:9092/7: ", "[thrd:x]: plaintext://shop-kafka-0:9092/7: "]
)
def test_an_advertised_address_is_distinguished_from_bootstrap_servers(thread: str) -> None:
    found = failure(
        f"FAIL [orders#consumer-1] {thread}Failed to resolve 'shop-kafka-0:9092': Name or service not known"
    )
    assert str(found) == "shop-kafka-0:9092: host name does not resolve"
    assert found.check == "advertised.listeners of broker 7"
    assert found.broker == 7


def test_the_broker_of_an_untrusted_certificate_is_known() -> None:
    found = failure(UNTRUSTED.replace("/bootstrap", "/7"))
    assert (found.broker, found.check.split()[0]) == (7, "ssl.ca.location")
    assert failure(UNTRUSTED).broker is None


def test_a_coordinator_is_named_by_its_address() -> None:
    text = "FAIL [orders#consumer-1] [thrd:GroupCoordinator]: GroupCoordinator: kafka-0:9092: Connection refused"
    assert str(failure(text)) == "kafka-0:9092: connection refused"


def test_an_untrusted_certificate_takes_precedence_over_a_refused_connection() -> None:
    assert explain([REFUSED, UNTRUSTED]) == explain([UNTRUSTED])


def test_a_broker_that_shuts_down_is_not_reported_as_a_failed_handshake() -> None:
    assert explain(["Disconnected: connection closed by peer (after 5ms in state UP)"]) is None


def test_a_failure_is_described_with_its_address_if_that_is_known() -> None:
    assert str(ConnectionFailure("timed out", "kafka:9092")) == "kafka:9092: timed out"
    assert str(ConnectionFailure("timed out")) == "timed out"
