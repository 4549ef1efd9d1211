"""The decoder under test."""

import pytest

from tests.kit.decoding import CountingDecoder


@pytest.fixture
def decoder() -> CountingDecoder:
    return CountingDecoder()
