"""Why Kafka can't be reached, out of what librdkafka 2.16 wrote while it was."""

import logging

import pytest
import structlog
from structlog.testing import capture_logs

from service.handler.kafka.away import told_to, what_is_missing

HERE = "FAIL [orders#consumer-1] [thrd:sasl_ssl://localhost:9093/bootstrap]: sasl_ssl://localhost:9093/bootstrap: "
UNTRUSTED = f"{HERE}SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker certificate"
REFUSED = f"{HERE}Connect to ipv6#[::1]:9093 failed: Connection refused (after 0ms in state CONNECT)"
OTHER = f"{HERE}2 request(s) timed out: disconnect (after 6000ms in state UP)"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (UNTRUSTED, "to show a certificate that we trust, for the host name that we ask for"),
        (
            "SASL authentication error: Authentication failed during authentication due to invalid credentials",
            "to take us in: the user or the password is wrong",
        ),
        (
            "SASL SCRAM-SHA-256 mechanism handshake failed: Broker: Unsupported SASL mechanism: broker's supported",
            "to take us in: it doesn't know our sasl.mechanism",
        ),
        (
            f"{HERE}Receive failed: SSL routines::tls alert bad certificate (after 1ms in state APIVERSION_QUERY)",
            "to take us in: it wants a certificate of ours, or another one",
        ),
        (
            "Disconnected: connection closed by peer: receive 0 after POLLIN (after 1ms in state APIVERSION_QUERY)",
            "to understand us: its listener seems to have another security.protocol",
        ),
        (REFUSED, "to listen: it refuses the connection"),
    ],
)
def test_it_is_said_in_words_of_ours_without_an_address(text: str, words: str) -> None:
    assert what_is_missing(text) == words


def test_a_certificate_is_named_before_an_address_that_nobody_listens_on() -> None:
    assert what_is_missing(f"{REFUSED}\n{UNTRUSTED}") == what_is_missing(UNTRUSTED)


def test_a_broker_that_stops_is_not_taken_for_one_that_speaks_otherwise() -> None:
    assert what_is_missing("Disconnected: connection closed by peer (after 5ms in state UP)") is None


def test_a_trouble_is_told_once_and_what_is_none_goes_on_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with capture_logs() as told, caplog.at_level(logging.WARNING, "librdkafka"):
        logger = told_to(structlog.get_logger())
        for text in (UNTRUSTED, UNTRUSTED, REFUSED, OTHER):
            logger.error(text)
    assert [line["problem"] for line in told] == [
        f"it has yet {what_is_missing(each)}" for each in (UNTRUSTED, REFUSED)
    ]
    assert caplog.messages == [OTHER]
