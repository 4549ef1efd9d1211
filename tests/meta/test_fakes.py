"""Each fake has a contract that also runs on the class that it replaces."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PARTS = {"FakeClock", "FakeKafka", "FakeLog", "FakeLoop"}
"""Time, and what surrounds a fake."""
FAKE = re.compile(r"^ *class (\w*(?:Fake|Mock|Stub|Dummy)\w*)", re.MULTILINE)


def test_the_readme_lists_each_fake_and_its_contract() -> None:
    fakes = {fake for path in (ROOT / "tests").rglob("*.py") for fake in FAKE.findall(path.read_text(encoding="utf-8"))}
    readme = (ROOT / "tests" / "README.md").read_text(encoding="utf-8")
    contracts = dict(re.findall(r"^\| `(Fake\w+)` \|.*\| `(tests/[\w/]+\.py)`.*\|$", readme, re.MULTILINE))
    assert contracts.keys() | PARTS == fakes
    for fake, contract in contracts.items():
        assert re.search(rf"\b{fake}\b", (ROOT / contract).read_text(encoding="utf-8")), fake
