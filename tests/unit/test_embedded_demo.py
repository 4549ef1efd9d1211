import argparse

import pytest

from service.embedded.demo import add_arguments


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http", "²"])
def test_what_is_no_port_is_refused_with_the_limits(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused("--port", port) == 2
    assert "--port: must be a port, 1 to 65535" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--rate", "--duration"])
@pytest.mark.parametrize("number", ["0", "-5", "nan", "inf", "fast"])
def test_what_is_no_number_above_0_is_refused(option: str, number: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(option, number) == 2
    assert f"{option}: must be a number above 0" in capsys.readouterr().err


def refused(option: str, value: str) -> object:
    """Return the exit code."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    with pytest.raises(SystemExit) as ended:
        parser.parse_args([f"{option}={value}"])
    return ended.value.code
