import pytest

from service.repo.operations.server_settings import wal_problems

GOOD = {"max_wal_size": "4096", "checkpoint_timeout": "900", "wal_compression": "lz4"}


def test_settings_at_the_limits_have_no_problem() -> None:
    assert [*wal_problems(GOOD)] == []


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("max_wal_size", "1024", "max_wal_size is 1024 MB, less than 4096 MB"),
        ("checkpoint_timeout", "300", "checkpoint_timeout is 300 s, less than 900 s"),
        ("wal_compression", "off", "wal_compression is off"),
    ],
)
def test_a_setting_that_makes_orders_expensive_is_a_problem(name: str, value: str, problem: str) -> None:
    assert [*wal_problems(GOOD | {name: value})] == [problem]


def test_every_problem_is_reported() -> None:
    assert len([*wal_problems({"max_wal_size": "64", "checkpoint_timeout": "30", "wal_compression": "off"})]) == 3
