"""`orders dlq list` and `orders dlq show` on a real Kafka."""

import json
from base64 import b64decode
from datetime import UTC, datetime, timedelta

import pytest

from service.config import KafkaSettings
from service.entities.dead_letter_headers import Header
from service.errors import CommandFailed, Stopped
from service.pkg.shutdown_event import ShutdownEvent
from tests.kit.dlq import dead_letter, dlq, produce

HOUR_MS = 3_600_000


def test_the_list_shows_coordinates_reason_key_and_origin_and_no_value(
    kafka: KafkaSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    produce(kafka, dead_letter(kafka, 1), dead_letter(kafka, 2, reason="rejected", replays=2))
    assert dlq(kafka, "list") == 0
    output = capsys.readouterr().out
    assert [line.split()[:7] for line in output.splitlines()[1:3]] == [
        ["0", "1", "rejected", f"{kafka.topic}/2/102", "2026-11-23T10:00:00.000Z", "2", "key-2"],
        ["0", "0", "invalid", f"{kafka.topic}/1/101", "2026-11-23T10:00:00.000Z", "0", "key-1"],
    ]
    assert "value-" not in output


def test_the_list_is_ordered_by_time_across_partitions(
    kafka: KafkaSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(6):
        produce(kafka, dead_letter(kafka, number), partition=number % 3, timestamp_ms=1_000 + number)
    assert dlq(kafka, "list", "--max", "0") == 0
    keys = [line.split()[6] for line in capsys.readouterr().out.splitlines()[1:-1]]
    assert keys == [f"key-{number}" for number in reversed(range(6))]


def test_the_list_applies_the_filters(kafka: KafkaSettings, capsys: pytest.CaptureFixture[str]) -> None:
    now_ms = round(datetime.now(UTC).timestamp() * 1_000)
    produce(kafka, dead_letter(kafka, 1), timestamp_ms=now_ms - 2 * HOUR_MS)
    produce(kafka, *(dead_letter(kafka, number) for number in range(2, 6)), dead_letter(kafka, 6, reason="rejected"))
    other = dead_letter(kafka, 7, changes={Header.DETAIL: b"sm_id: is missing"})
    produce(kafka, other, timestamp_ms=now_ms + HOUR_MS * 5 // 6)
    until = datetime.fromtimestamp(now_ms / 1_000, UTC) + timedelta(minutes=30)
    arguments = "--since", "1h", "--until", until.isoformat(), "--reason", "invalid", "--text", "ITEMS", "--max", "3"
    assert dlq(kafka, "list", *arguments) == 0
    output = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in output[1:-1]] == ["4", "3", "2"]
    assert output[-1] == "3 shown, there are more: --max shows them"
    assert dlq(kafka, "list", "--text", "is missing") == 0
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()[1:-1]] == ["6"]


def test_the_list_of_an_order_has_exactly_its_dead_letters(
    kafka: KafkaSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    by_its_key, by_its_document, torn = dead_letter(kafka, 1), dead_letter(kafka, 2), dead_letter(kafka, 3)
    produce(kafka, by_its_key, by_its_document._replace(value=b'{"order_uid": "key-1"}'), dead_letter(kafka, 4))
    produce(kafka, torn._replace(value=b'{"order_uid": "key-1", "entry": '), dead_letter(kafka, 11), partition=1)
    assert dlq(kafka, "list", "--order", "key-1") == 0
    output = capsys.readouterr().out.splitlines()
    assert sorted(line.split()[:2] for line in output[1:-1]) == [["0", "0"], ["0", "1"], ["1", "0"]]
    assert output[-1] == "3 shown"
    assert dlq(kafka, "list", "--order", "key-7") == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["0 shown"]


def test_the_list_and_one_dead_letter_are_the_documents_of_the_api(
    kafka: KafkaSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    produce(kafka, dead_letter(kafka, 1), dead_letter(kafka, 2))
    assert dlq(kafka, "list", "--json", "--max", "1") == 0
    output = capsys.readouterr()
    (listed,) = map(json.loads, output.out.splitlines())
    assert (b64decode(listed["key"]), listed["offset"], listed["size"]) == (b"key-2", 1, 9)
    assert output.err == "1 shown, there are more: --max shows them\n"
    assert dlq(kafka, "show", "0", "1", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert {"name": "dlq-detail", "value": shown["detail"]} in shown.pop("headers")
    assert shown == listed
    assert dlq(kafka, "show", "0", "1", "--json", "--value") == 0
    assert b64decode(json.loads(capsys.readouterr().out)["value"]) == b"\x00\xffvalue-2"


def test_a_stop_before_the_end_of_the_list_is_an_error(
    kafka: KafkaSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    stop = ShutdownEvent()
    stop.set()
    with pytest.raises(Stopped, match="stopped before the end of the dead letters"):
        dlq(kafka, "list", stop=stop)
    assert "shown" not in capsys.readouterr().out


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
        with pytest.raises(CommandFailed, match=f"no dead letter at partition {partition}, offset {offset}"):
            dlq(kafka, "show", partition, offset)
