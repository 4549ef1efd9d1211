"""Each setting has a description and a default that a user can write."""

import os

import pytest

from reference.configuration import variables
from service.config import Settings, load
from service.config.sources import PREFIX


def test_each_setting_is_described_in_a_sentence() -> None:
    assert [each.name for each in variables() if not each.meaning.endswith(".")] == []


def test_setting_the_defaults_from_the_page_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)
    for each in variables():
        monkeypatch.setenv(each.name, each.default)
    assert load() == Settings.model_construct()
