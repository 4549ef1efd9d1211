"""Why Kafka can't be reached, out of what librdkafka 2.16 wrote while it was."""

import logging

import pytest
import structlog
from structlog.testing import capture_logs

from service.handler.kafka.client.connection_errors import BOOTSTRAP_SERVERS, ConnectionFailure, client_logger, explain

HERE = "FAIL [orders#consumer-1] [thrd:sasl_ssl://localhost:9093/bootstrap]: sasl_ssl://localhost:9093/bootstrap: "
UNTRUSTED = f"{HERE}SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker certificate"
REFUSED = f"{HERE}Connect to ipv6#[::1]:9093 failed: Connection refused (after 0ms in state CONNECT)"
OTHER = f"{HERE}Something else (after 6000ms in state UP)"


def failure(text: str) -> ConnectionFailure:
    found = explain([text])
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "cause", "check"),
    [
        (UNTRUSTED, "TLS handshake failed: the broker's certificate is not trusted", "ssl.ca.location"),
        (
            f"{HERE}SASL authentication error: Authentication failed during authentication due to invalid credentials",
            "authentication failed: wrong user or password",
            "sasl.username and sasl.password",
        ),
        (
            f"{HERE}SASL SCRAM-SHA-256 mechanism handshake failed: Broker: Unsupported SASL mechanism: supported",
            "authentication failed: the broker does not support this SASL mechanism",
            "sasl.mechanism",
        ),
        (
            f"{HERE}Receive failed: SSL routines::tls alert bad certificate (after 1ms in state APIVERSION_QUERY)",
            "TLS handshake failed: the broker requires a client certificate",
            "ssl.certificate.location and ssl.key.location",
        ),
        (
            f"{HERE}Disconnected: connection closed by peer: receive 0 (after 1ms in state APIVERSION_QUERY)",
            "connection closed during the handshake",
            "security.protocol",
        ),
        (
            f"{HERE}Receive failed: Invalid response size 1213486160 (0..100000000): (after 0ms in state UP)",
            "the server does not speak the Kafka protocol",
            BOOTSTRAP_SERVERS,
        ),
        (
            f"{HERE}Failed to resolve 'localhost:9093': Name or service not known (after 0ms in state CONNECT)",
            "host name does not resolve",
            BOOTSTRAP_SERVERS,
        ),
        (f"{HERE}1 request(s) timed out: disconnect (after 6000ms in state UP)", "timed out", BOOTSTRAP_SERVERS),
        (REFUSED, "connection refused", BOOTSTRAP_SERVERS),
    ],
)
def test_a_cause_comes_with_its_address_and_the_setting_to_check(text: str, cause: str, check: str) -> None:
    found = failure(text)
    assert (found.address, found.cause[: len(cause)], found.check[: len(check)]) == ("localhost:9093", cause, check)


@pytest.mark.parametrize(
    "thread", ["[thrd:shop-kafka-0:9092/7]: shop-kafka-0:9092/7: ", "[thrd:x]: plaintext://shop-kafka-0:9092/7: "]
)
def test_an_address_that_a_broker_advertised_is_told_from_the_one_that_was_set(thread: str) -> None:
    found = failure(
        f"FAIL [orders#consumer-1] {thread}Failed to resolve 'shop-kafka-0:9092': Name or service not known"
    )
    assert str(found) == "shop-kafka-0:9092: host name does not resolve"
    assert found.check == "advertised.listeners of broker 7"


def test_the_coordinator_is_named_by_its_address() -> None:
    text = "FAIL [orders#consumer-1] [thrd:GroupCoordinator]: GroupCoordinator: kafka-0:9092: Connection refused"
    assert str(failure(text)) == "kafka-0:9092: connection refused"


def test_a_certificate_is_named_before_an_address_that_nobody_listens_on() -> None:
    assert explain([REFUSED, UNTRUSTED]) == explain([UNTRUSTED])


def test_a_broker_that_stops_is_not_taken_for_one_that_speaks_otherwise() -> None:
    assert explain(["Disconnected: connection closed by peer (after 5ms in state UP)"]) is None


def test_a_cause_is_logged_once_and_what_is_none_goes_on_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with capture_logs() as told, caplog.at_level(logging.WARNING, "librdkafka"):
        logger = client_logger(structlog.get_logger())
        for text in (UNTRUSTED, UNTRUSTED, REFUSED, OTHER):
            logger.error(text)
    assert [(line["problem"], line["address"]) for line in told] == [
        (failure(each).cause, "localhost:9093") for each in (UNTRUSTED, REFUSED)
    ]
    assert caplog.messages == [OTHER]
