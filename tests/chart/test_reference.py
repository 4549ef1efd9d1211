"""Files that Helm and helm-docs generate are up to date."""

import pytest

from reference import ROOT
from reference.chart import ToolNotInstalled
from reference.files import OF_CHART


@pytest.mark.parametrize("name", OF_CHART)
def test_a_generated_file_is_up_to_date(name: str) -> None:
    try:
        generated = OF_CHART[name]()
    except ToolNotInstalled as error:
        pytest.skip(str(error))
    assert (ROOT / name).read_text(encoding="utf-8") == generated, "run: make reference"
