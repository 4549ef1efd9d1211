"""The command line of `orders generate` and `orders check`."""

import argparse
import json
from datetime import UTC, datetime

import pytest

from generator import check, generate
from generator.faults import FULL_CATALOG
from generator.options import plan_from
from generator.stream import Plan
from service.config import Settings
from service.errors import UsageError
from service.pkg.shutdown_event import ShutdownEvent
from tests.kit.generate_arguments import parse


def test_options_are_parsed_into_a_plan() -> None:
    options = (
        "--count 5 --seed 7 --invalid 0.02 --duplicates 0.05 --stale .02 --updates 0 --tombstones 1e-2 --too-large"
    )
    plan = Plan(count=5, seed=7, invalid=0.02, duplicates=0.05, stale=0.02, tombstones=0.01, too_large=True)
    assert plan_from(parse(*options.split())) == plan
    until = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert plan_from(parse("--until", "2026-03-01T12:00:00Z")) == Plan(until=until)


def test_without_options_the_plan_is_the_default() -> None:
    assert plan_from(parse()) == Plan()


def test_check_accepts_the_options_of_generate() -> None:
    parser = argparse.ArgumentParser()
    check.add_arguments(parser)
    assert plan_from(parser.parse_args(["--seed", "7", "--stale", "0.5"])) == Plan(seed=7, stale=0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--invalid", "2"], "0.02 for 2 %"),
        (["--stale", "-0.1"], "0.02 for 2 %"),
        (["--duplicates", "nan"], "0.02 for 2 %"),
        (["--tombstones", "few"], "0.02 for 2 %"),
        (["--count", "-1"], "whole number"),
        (["--count", "1.5"], "whole number"),
        (["--seed", "٣"], "whole number"),
        (["--rate", "inf"], "number per second"),
        (["--rate", "-1"], "number per second"),
    ],
)
def test_an_invalid_value_is_rejected_with_the_valid_form(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_code:
        parse(*options)
    assert exit_code.value.code == 2
    assert message in capsys.readouterr().err


def test_shares_with_a_sum_above_1_are_rejected() -> None:
    with pytest.raises(UsageError, match="and their sum at most 1"):
        generate.run(parse("--invalid", "0.6", "--stale", "0.6"), Settings(), ShutdownEvent())


def test_the_catalog_is_printed_without_a_broker(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.run(parse("--list-faults"), Settings(), ShutdownEvent()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [[fault.reason, fault.name] for fault in FULL_CATALOG]


def test_the_catalog_can_be_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.run(parse("--list-faults", "--json"), Settings(), ShutdownEvent()) == 0
    faults = json.loads(capsys.readouterr().out)["faults"]
    assert [(fault["reason"], fault["name"]) for fault in faults] == [(each.reason, each.name) for each in FULL_CATALOG]


def test_check_rejects_an_endless_stream() -> None:
    parser = argparse.ArgumentParser()
    check.add_arguments(parser)
    with pytest.raises(UsageError, match="cannot check an unlimited run"):
        check.run(parser.parse_args(["--count", "0"]), Settings(), ShutdownEvent())
