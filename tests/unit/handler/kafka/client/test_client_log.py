"""Connection failures in a client's log are explained and throttled; other lines are forwarded."""

import logging

import pytest
import structlog
from structlog.testing import capture_logs

from service.handler.kafka.client.client_log import LineBuffer, client_logger, log_missing_topic, new_logger

PREFIX = "FAIL [orders#consumer-1] [thrd:localhost:9093/bootstrap]: localhost:9093/bootstrap: "
UNRESOLVED = f"{PREFIX}Failed to resolve 'localhost:9093': Name or service not known (after 0ms in state CONNECT)"
REFUSED = f"{PREFIX}Connect to ipv6#[::1]:9093 failed: Connection refused (after 0ms in state CONNECT)"
OTHER = f"{PREFIX}Something else (after 6000ms in state UP)"


def test_a_failure_is_logged_once_and_other_lines_are_forwarded(caplog: pytest.LogCaptureFixture) -> None:
    with capture_logs() as records, caplog.at_level(logging.WARNING, "librdkafka"):
        logger = client_logger(structlog.get_logger())
        for text in (UNRESOLVED, UNRESOLVED, REFUSED, OTHER):
            logger.error(text)
    assert [(line["problem"], line["address"]) for line in records] == [
        ("host name does not resolve", "localhost:9093"),
        ("connection refused", "localhost:9093"),
    ]
    assert {line["event"] for line in records} == {"cannot reach Kafka"}
    assert {line["hint"] for line in records} == {"check ORDERS_KAFKA__BOOTSTRAP_SERVERS"}
    assert caplog.record_tuples == [("librdkafka", logging.ERROR, OTHER)]


def test_lines_below_the_level_of_librdkafka_are_not_forwarded(caplog: pytest.LogCaptureFixture) -> None:
    librdkafka = logging.getLogger("librdkafka")
    before = librdkafka.level
    try:
        librdkafka.setLevel(logging.CRITICAL)
        client_logger(structlog.get_logger()).error(OTHER)
    finally:
        librdkafka.setLevel(before)
    assert caplog.messages == []


def test_a_buffer_keeps_the_last_lines_until_they_are_read() -> None:
    buffer = LineBuffer()
    logger = new_logger(buffer)
    for number in range(1_000):
        logger.error("%d", number)
    lines = buffer.drain()
    assert len(lines) < 1_000
    assert lines[-1] == "999"
    assert buffer.copy() == []


def test_a_missing_topic_is_told_apart_from_a_pattern_without_topics() -> None:
    with capture_logs() as records:
        for name in ("orders", "^(orders)"):
            log_missing_topic(structlog.get_logger(), name)
    assert [(each.get("topic"), each.get("pattern")) for each in records] == [("orders", None), (None, "^(orders)")]
    assert "orders migrate" in records[0]["event"]
    assert records[1]["event"] == "no topic matches the pattern"
    assert records[1]["hint"] == "check ORDERS_KAFKA__TOPICS and the ACLs"
