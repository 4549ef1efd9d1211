"""`orders erase --forget-older-than`: an erasure is kept while a topic may have a record of the order."""

import psycopg
import pytest

from service.config import KafkaSettings, Settings
from service.errors import CommandFailed, KafkaRequestFailed
from service.handler.kafka.client import diagnostics as connecting
from tests.kit.erase_command import erased, run
from tests.kit.temporary import configure_topic

DAY = 86_400


def set_retention(settings: Settings, **seconds: float) -> None:
    """Set the retention of each topic, with segments of an hour; -1 is unlimited."""
    for topic, retention in (
        (settings.kafka.topic, seconds["orders"]),
        (f"{settings.kafka.topic}.dlq", seconds["dlq"]),
    ):
        config = {"segment.ms": 3_600_000, "retention.ms": round(retention * 1_000) if retention >= 0 else -1}
        configure_topic(settings.kafka.bootstrap_servers, topic, config)


@pytest.mark.parametrize(
    ("order_retention", "dead_letter_retention", "problem"),
    [
        (7 * DAY, 7 * DAY - 3_600, "keeps records for up to 7.04167 days"),
        (7 * DAY - 3_600, 30 * DAY, r"\.dlq keeps records for up to 30.0417 days"),
        (-1, DAY, "keeps records forever"),
    ],
)
def test_an_erasure_is_not_forgotten_while_a_topic_may_have_a_record_of_the_order(
    both_settings: Settings, order_retention: float, dead_letter_retention: float, problem: str
) -> None:
    set_retention(both_settings, orders=order_retention, dlq=dead_letter_retention)
    run(both_settings, "--yes", "a")
    age(both_settings.postgres.dsn, days=8)
    with pytest.raises(CommandFailed, match=problem):
        run(both_settings, "--forget-older-than", "7d")
    assert erased(both_settings.postgres.dsn) == 1


def test_erasures_older_than_the_retention_of_both_topics_are_forgotten(
    both_settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    set_retention(both_settings, orders=7 * DAY - 3_600, dlq=DAY)
    run(both_settings, "--yes", "old")
    age(both_settings.postgres.dsn, days=8)
    run(both_settings, "--yes", "young")
    assert run(both_settings, "--dry-run", "--forget-older-than", "7d") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 erasures would be forgotten"
    assert erased(both_settings.postgres.dsn) == 2
    assert run(both_settings, "--forget-older-than", "7d") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 erasures forgotten"
    assert erased(both_settings.postgres.dsn) == 1


def test_without_kafka_nothing_is_forgotten(both_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "COMMAND_CONNECT_TIMEOUT_SECONDS", 0.5)
    run(both_settings, "--yes", "a")
    age(both_settings.postgres.dsn, days=800)
    unreachable = both_settings.model_copy(update={"kafka": KafkaSettings(bootstrap_servers="127.0.0.1:9")})
    with pytest.raises(KafkaRequestFailed, match=r"^cannot reach Kafka at 127\.0\.0\.1:9: "):
        run(unreachable, "--forget-older-than", "700d")
    assert erased(both_settings.postgres.dsn) == 1


def age(dsn: str, days: int) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("UPDATE erased SET erased_at = erased_at - %s * interval '1 day'", [days])
