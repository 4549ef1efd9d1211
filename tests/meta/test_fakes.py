"""Each fake has a contract that also runs on the class that it replaces."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PARTS = {"FakeBatchHolder", "FakeClock", "FakeKafka", "FakeLog", "FakeLoop"}
"""Time, and what surrounds a fake."""


def test_the_readme_lists_each_fake_of_the_kit_and_its_contract() -> None:
    kit = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "kit").glob("*.py"))
    readme = (ROOT / "tests" / "README.md").read_text(encoding="utf-8")
    contracts = dict(re.findall(r"^\| `(Fake\w+)` \|.*\| `(tests/[\w/]+\.py)`.*\|$", readme, re.MULTILINE))
    assert contracts.keys() == {*re.findall(r"^class (Fake\w+)", kit, re.MULTILINE)} - PARTS
    for fake, contract in contracts.items():
        assert re.search(rf"\b{fake}\b", (ROOT / contract).read_text(encoding="utf-8")), fake
