import argparse

import pytest

from local.demo import Counters, add_arguments, format_line


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http", "²"])
def test_an_invalid_port_is_rejected_with_the_valid_range(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("--port", port) == 2
    assert "--port: must be a port number between 1 and 65535" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["0", "-5", "nan", "inf", "fast"])
def test_a_rate_not_above_0_is_rejected(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("--rate", number) == 2
    assert "--rate: must be a number greater than 0" in capsys.readouterr().err


@pytest.mark.parametrize("duration", ["-5", "nan", "inf", "1w"])
def test_an_invalid_duration_is_rejected(duration: str) -> None:
    assert exit_code("--duration", duration) == 2


def exit_code(option: str, value: str) -> object:
    """Return the exit code of the parser for this invalid option."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    with pytest.raises(SystemExit) as ended:
        parser.parse_args([f"{option}={value}"])
    return ended.value.code


def counters(at: float, stored: float) -> Counters:
    return Counters(at, stored, dead_letters=0, hits=0, misses=0)


@pytest.mark.parametrize(
    ("now", "last", "rate"),
    [
        (counters(101.0, 1_050), counters(100.0, 1_000), "50"),
        (counters(101.25, 1_050), counters(100.0, 1_000), "40"),  # a late line
        (counters(135.0, 2_750), counters(100.0, 1_000), "50"),  # skipped lines
        (counters(101.0, 1_000), counters(100.0, 1_000), "0"),
        (counters(101.0, 50), counters(100.0, 1_000), "-"),  # the consumer was restarted
    ],
)
def test_the_rate_is_computed_since_the_last_line(now: Counters, last: Counters, rate: str) -> None:
    assert format_line(now, last).startswith(f"stored {rate:>5}/s, {now.stored:8.0f} total")
