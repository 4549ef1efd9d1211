"""kube-score finds nothing on the rendered releases except the accepted findings in accepted-findings.yaml."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tests.chart.helm import ROOT, render, render_yaml
from tests.chart.test_pods import RELEASES

ACCEPTED = yaml.safe_load(Path(__file__).with_name("accepted-findings.yaml").read_text(encoding="utf-8"))
LINTED = RELEASES | {"production": ROOT / "k8s" / "values" / "production.yaml"}
BEST_GRADE = 10


class Finding(NamedTuple):
    check: str
    component: str


@pytest.fixture(autouse=True)
def _kube_score() -> None:
    if not shutil.which("kube-score"):
        pytest.skip("kube-score not found on PATH")


@cache
def found(release: str) -> frozenset[Finding]:
    return frozenset(findings(render_yaml((LINTED[release],)), components(release)))


def components(release: str) -> dict[tuple[str, str], str]:
    """Return the component of each object, by kind and name."""
    objects = render(LINTED[release])
    label = "app.kubernetes.io/component"
    return {(each["kind"], each["metadata"]["name"]): each["metadata"]["labels"][label] for each in objects}


def findings(manifests: str, known: dict[tuple[str, str], str]) -> Iterator[Finding]:
    """Yield each check of kube-score, optional ones included, that an object fails."""
    command = ["kube-score", "score", "--all-default-optional", "--output-format=json", "-"]
    done = subprocess.run(command, input=manifests, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    for scored in json.loads(done.stdout):
        component = known[scored["type_meta"]["kind"], scored["object_meta"]["name"]]
        for check in scored["checks"]:
            if check["grade"] < BEST_GRADE and not check["skipped"]:
                yield Finding(check["check"]["id"], component)


def is_accepted(finding: Finding, release: str) -> bool:
    accepted = ACCEPTED["kube-score"].get(finding.check, {"at": []})
    return finding.component in accepted.get("at", [finding.component]) and release not in accepted.get("unless", [])


@pytest.mark.parametrize("release", LINTED)
def test_every_finding_of_the_linters_is_accepted(release: str) -> None:
    assert [each for each in sorted(found(release)) if not is_accepted(each, release)] == []


def test_every_accepted_finding_occurs_and_has_a_reason() -> None:
    everywhere = {finding for release in LINTED for finding in found(release)}
    for check, accepted in ACCEPTED["kube-score"].items():
        assert re.search(r"\.$", accepted["why"])
        assert {each.component for each in everywhere if each.check == check} >= set(accepted.get("at", ["api"])), check


@pytest.mark.parametrize(
    ("good", "bad", "check"),
    [
        ('"readOnlyRootFilesystem":true', '"readOnlyRootFilesystem":false', "readonlyrootfilesystem"),
        ("type: ClusterIP", "type: NodePort", "service-type"),
        ('"orders:0.1.0"', '"orders:latest"', "image-tag"),
    ],
)
def test_a_faulty_manifest_is_found(good: str, bad: str, check: str) -> None:
    manifests = render_yaml((LINTED["default"],))
    assert good in manifests
    broken = findings(manifests.replace(good, bad), components("default"))
    assert any(each.check.endswith(check) for each in broken if not is_accepted(each, "default"))
