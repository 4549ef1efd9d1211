"""`orders dlq list` and `orders dlq show` on a real Kafka."""

from datetime import UTC, datetime, timedelta

import pytest

from service.config import KafkaSettings
from service.entities.dead_letter_headers import Header
from service.errors import DeadLetterNotFound
from tests.kit.dlq import dead_letter, dlq, produce


def test_the_list_shows_coordinates_reason_and_origin_and_no_value(
    kafka: KafkaSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    produce(kafka, dead_letter(kafka, 1), dead_letter(kafka, 2, reason="rejected", replays=2))
    assert dlq(kafka, "list") == 0
    output = capsys.readouterr().out
    assert [line.split()[:6] for line in output.splitlines()[1:3]] == [
        ["0", "0", "invalid", f"{kafka.topic}/1/101", "2026-11-23T10:00:00.000Z", "0"],
        ["0", "1", "rejected", f"{kafka.topic}/2/102", "2026-11-23T10:00:00.000Z", "2"],
    ]
    assert "value-" not in output


def test_the_list_applies_the_filters(kafka: KafkaSettings, capsys: pytest.CaptureFixture[str]) -> None:
    now = datetime.now(UTC)
    before, after = now - timedelta(hours=2), now - timedelta(hours=1)
    produce(kafka, dead_letter(kafka, 1), timestamp_ms=round(before.timestamp() * 1000) - 1)
    produce(kafka, *(dead_letter(kafka, number) for number in range(2, 6)), dead_letter(kafka, 6, reason="rejected"))
    assert dlq(kafka, "list", "--since", after.isoformat(), "--reason", "invalid", "--max", "3") == 0
    output = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in output[1:-1]] == ["1", "2", "3"]
    assert output[-1] == "3 shown, there are more: --max shows them"


def test_the_list_of_an_order_has_exactly_its_dead_letters(
    kafka: KafkaSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    by_its_key, by_its_document, torn = dead_letter(kafka, 1), dead_letter(kafka, 2), dead_letter(kafka, 3)
    produce(kafka, by_its_key, by_its_document._replace(value=b'{"order_uid": "key-1"}'), dead_letter(kafka, 4))
    produce(kafka, torn._replace(value=b'{"order_uid": "key-1", "entry": '), dead_letter(kafka, 11), partition=1)
    assert dlq(kafka, "list", "--order", "key-1") == 0
    output = capsys.readouterr().out.splitlines()
    assert sorted(line.split()[:4] for line in output[1:-1]) == [
        ["key-1", "0", "0", "invalid"],
        ["key-1", "0", "1", "invalid"],
        ["key-1", "1", "0", "invalid"],
    ]
    assert output[-1] == f"3 of 5 dead letters in {kafka.dead_letter_topic} are theirs"
    assert dlq(kafka, "list", "--order", "key-7") == 0
    assert capsys.readouterr().out == f"0 of 5 dead letters in {kafka.dead_letter_topic} are theirs\n"


def test_the_list_of_an_order_accepts_reason_and_time_but_no_limit(
    kafka: KafkaSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    after = datetime.now(UTC) - timedelta(hours=1)
    produce(kafka, dead_letter(kafka, 1), timestamp_ms=round(after.timestamp() * 1000) - 1)
    produce(kafka, dead_letter(kafka, 1), dead_letter(kafka, 1, reason="rejected"), dead_letter(kafka, 2))
    assert dlq(kafka, "list", "--order", "key-1", "--since", after.isoformat(), "--reason", "invalid") == 0
    output = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in output[1:-1]] == [["key-1", "0", "1"]]
    with pytest.raises(SystemExit, match="2"):
        dlq(kafka, "list", "--order", "key-1", "--max", "3")
    assert "argument --max: not allowed with argument --order" in capsys.readouterr().err


def test_control_characters_in_headers_are_escaped(kafka: KafkaSettings, capsys: pytest.CaptureFixture[str]) -> None:
    produce(kafka, dead_letter(kafka, 1, changes={Header.DETAIL: b"\x1b[2Jgone\n"}))
    assert dlq(kafka, "list") == 0
    assert dlq(kafka, "show", "0", "0") == 0
    assert "\x1b" not in capsys.readouterr().out


def test_show_prints_the_headers_or_the_value(kafka: KafkaSettings, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    produce(kafka, dead_letter(kafka, 1), dead_letter(kafka, 2))
    assert dlq(kafka, "show", "0", "1") == 0
    shown = capfdbinary.readouterr().out.decode()
    assert "key: key-2" in shown
    assert "dlq-detail: items[0].price: expected `int`" in shown
    assert "value-2" not in shown
    assert dlq(kafka, "show", "0", "1", "--value") == 0
    assert capfdbinary.readouterr().out == b"\x00\xffvalue-2"


def test_a_missing_dead_letter_is_reported(kafka: KafkaSettings) -> None:
    produce(kafka, dead_letter(kafka, 1))
    for partition, offset in ("0", "1"), ("2", "0"), ("7", "0"):
        with pytest.raises(DeadLetterNotFound, match=f"no dead letter at partition {partition}, offset {offset}"):
            dlq(kafka, "show", partition, offset)
