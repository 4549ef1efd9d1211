"""What linters of manifests find on releases: nothing but what .ci/chart-findings.yaml argues for."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import pytest
import yaml

from tests.chart.rendered import ROOT, render, rendered
from tests.chart.test_pods import RELEASES

ARGUED = yaml.safe_load((ROOT / ".ci" / "chart-findings.yaml").read_text(encoding="utf-8"))
LINTED = RELEASES | {"production": ROOT / "k8s" / "values" / "production.yaml"}
ALL_RIGHT = 10  # the best of kube-score's grades


class Finding(NamedTuple):
    check: str
    component: str


@pytest.fixture(autouse=True)
def _kube_score() -> None:
    if not shutil.which("kube-score"):
        pytest.skip("there is no kube-score on the path")


@cache
def found(release: str) -> frozenset[Finding]:
    return frozenset(findings(rendered((LINTED[release],)), components(release)))


def components(release: str) -> dict[tuple[str, str], str]:
    """Return each object's component by its kind and name."""
    objects = render(LINTED[release])
    label = "app.kubernetes.io/component"
    return {(each["kind"], each["metadata"]["name"]): each["metadata"]["labels"][label] for each in objects}


def findings(manifests: str, known: dict[tuple[str, str], str]) -> Iterator[Finding]:
    """Yield what kube-score, with every check it has, finds to be less than all right."""
    command = ["kube-score", "score", "--all-default-optional", "--output-format=json", "-"]
    done = subprocess.run(command, input=manifests, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    for scored in json.loads(done.stdout):
        component = known[scored["type_meta"]["kind"], scored["object_meta"]["name"]]
        for check in scored["checks"]:
            if check["grade"] < ALL_RIGHT and not check["skipped"]:
                yield Finding(check["check"]["id"], component)


def is_argued(finding: Finding, release: str) -> bool:
    argument = ARGUED["kube-score"].get(finding.check, {"at": []})
    return finding.component in argument.get("at", [finding.component]) and release not in argument.get("unless", [])


@pytest.mark.parametrize("release", LINTED)
def test_whatever_is_found_is_argued_for(release: str) -> None:
    assert [each for each in sorted(found(release)) if not is_argued(each, release)] == []


def test_nothing_is_argued_for_that_is_not_found() -> None:
    everywhere = {finding for release in LINTED for finding in found(release)}
    for check, argument in ARGUED["kube-score"].items():
        assert re.search(r"\.$", argument["why"])
        assert {each.component for each in everywhere if each.check == check} >= set(argument.get("at", ["api"])), check


@pytest.mark.parametrize(
    ("good", "bad", "check"),
    [
        ("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "readonlyrootfilesystem"),
        ("type: ClusterIP", "type: NodePort", "service-type"),
        ('"orders:0.1.0"', '"orders:latest"', "image-tag"),
    ],
)
def test_what_is_wrong_is_found(good: str, bad: str, check: str) -> None:
    manifests = rendered((LINTED["default"],))
    assert good in manifests
    broken = findings(manifests.replace(good, bad), components("default"))
    assert any(each.check.endswith(check) for each in broken if not is_argued(each, "default"))
