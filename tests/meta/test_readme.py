"""The README's sample, versions and figures are those of the repository.

`test_repository.py` verifies its links, and the files, commands and make targets that it names.
"""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local import postgres as postgres_processes
from service.decoding.decoder import Decoder
from service.pkg.etag import split_etag, with_etag
from tests.faults.table import HEADINGS
from tests.kit import servers
from tests.kit.policies import decoding_rules

ROOT = Path(__file__).parents[2]
MAX_WORDS = 700
NOW = datetime(2026, 1, 1, tzinfo=UTC)
README = (ROOT / "README.md").read_text(encoding="utf-8")
PERFORMANCE = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")


def text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def only(pattern: str, content: str) -> str:
    found: list[str] = re.findall(pattern, content, re.MULTILINE | re.DOTALL)
    assert len({*found}) == 1, f"{pattern}: {found}"
    return found[0]


@pytest.fixture(scope="module")
def sample() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(only(r"```json\n(.*?)```", README))
    return document


@pytest.fixture(scope="module")
def body(sample: dict[str, Any]) -> bytes:
    return json.dumps(sample, ensure_ascii=False, separators=(",", ":")).encode()


def test_the_readme_is_short() -> None:
    assert len(README.split()) <= MAX_WORDS


def test_the_sample_is_a_valid_order(sample: dict[str, Any], body: bytes) -> None:
    def fail(problem: object) -> None:
        pytest.fail(f"the decoder reports {problem}")

    decoder = Decoder(decoding_rules(), on_unknown=fail, on_mismatch=fail, on_coerced=fail, now=lambda: NOW)
    assert decoder.decode(body).order_uid == sample["order_uid"]


def test_the_response_is_that_of_the_sample(body: bytes) -> None:
    etag, _ = split_etag(with_etag(body))
    assert f'etag: "{etag.decode()}"\n' in README
    assert f"content-length: {len(body)}\n" in README
    assert body.decode().startswith(only(r'^(\{"order_uid":[^…\n]*)…\}$', README))


def test_the_release_is_that_of_package_and_chart() -> None:
    version = only(r"\*\*Status:\*\* ([\d.]+),", README)
    assert (
        version
        == only(r'^version = "(.+?)"', text("pyproject.toml"))
        == only(r'^appVersion: "(.+?)"', text("chart/Chart.yaml"))
    )
    assert {*re.findall(r"orders:(\d[\d.]*\d)", README)} == {version}


def test_the_tested_kafkas_are_those_that_the_tests_start() -> None:
    tested = re.search(r"Kafka ([\d.]+)\s+and ([\d.]+),", README)
    assert tested
    assert f"apache/kafka:{tested[1]}" == servers.KAFKA_IMAGE
    assert tested[2] == only(r"org\.apache\.kafka:kafka_2\.13:([\d.]+)", text("local/kafka-jars.txt"))
    assert f"started Apache Kafka {tested[2]}\n" in README


def test_the_tested_postgresqls_are_those_that_the_tests_start() -> None:
    tested = re.search(r"PostgreSQL ([\d.]+) and ([\d.]+),", README)
    assert tested
    assert only(r"^postgres_version=(\S+?)$", text(".ci/images.sh")) == f"{tested[1]}.0"
    (header,) = postgres_processes.package_folder().glob(f"pginstall{int(float(tested[2]))}/include/pg_config.h")
    assert f'#define PG_VERSION "{tested[2]}"' in header.read_text(encoding="utf-8")


def test_the_tested_kubernetes_and_helm_are_those_of_the_tools() -> None:
    oldest = only(r"k8s\.io/kubernetes v(\d+\.\d+)", text("tests/cluster/kubernetes/go.mod"))
    kubernetes = " and ".join(", ".join([oldest, *passed_nightly()]).rsplit(", ", 1))
    helms = " and ".join(re.findall(r"helm@v(\d+\.\d+)\.", text(".ci/tools.sh")))
    assert f"Kubernetes {kubernetes}, Helm {helms}." in README


def passed_nightly() -> list[str]:
    """The versions of Kubernetes on which the last run of all cluster tests passed."""
    results: dict[str, list[dict[str, Any]]] = json.loads(text(".ci/nightly.json"))
    tiers = {tier: {outcome for run in runs for outcome in run["tests"].values()} for tier, runs in results.items()}
    return [tier.partition("-")[2] for tier in sorted(tiers) if "-" in tier and tiers[tier] == {"passed"}]


def test_the_table_of_scenarios_has_the_columns_of_make_chaos_and_adds_up() -> None:
    head, row = (
        [cell.strip() for cell in line.split("|")[1:-1]] for line in re.findall(r"^\|.*….*\|$", README, re.MULTILINE)
    )
    assert [name for name in HEADINGS if name in head] == [name for name in head if name != "…"]
    produced, *counts = (int(cell.replace(",", "")) for cell in row[2:9])
    assert produced == sum(counts)


def test_figures_are_those_of_the_page_on_performance() -> None:
    figures = re.findall(r"\d\d,\d{3}", README.partition("**Speed:**")[2])
    assert len(figures) == 3
    assert [figure for figure in figures if figure not in PERFORMANCE] == []
    assert only(r"measured on\s+([\d-]{10})", README) == only(r"^Measured on ([\d-]{10}) in one run", PERFORMANCE)


def test_the_missed_goals_are_counted() -> None:
    ratios = re.findall(r"^\| (\d+) \|.*\| (met|missed) \| ", PERFORMANCE, re.MULTILINE)
    missed = {number for number, outcome in ratios if outcome == "missed"}
    spelled = ["No", "One", "Two", "Three", "Four", "Five", "Six"][len(missed)]
    goals = len({number for number, _ in ratios})
    assert f"{spelled} of {goals} performance goals are missed" in " ".join(README.split())
