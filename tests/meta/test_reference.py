"""Generated files are up to date. tests/chart/test_reference.py verifies those that need Helm."""

import pytest

from reference import ROOT
from reference.files import OF_CODE


@pytest.mark.parametrize("name", OF_CODE)
def test_a_generated_file_is_up_to_date(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == OF_CODE[name](), "run: make reference"
