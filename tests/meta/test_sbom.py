"""The SBOM that `make sbom` writes."""

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).parents[2]
ENGINE = """#!/bin/sh
case "$*" in *" orders:9 "*) ;; *) exit 125 ;; esac
printf 'debian 12\\n3.11.7\\nadduser 3.134 all\\nlibgcc-s1 12:12.2.0-14+deb12u1 amd64\\n'
"""
"""Prints what a container of the image prints."""


@pytest.fixture
def _engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = tmp_path / "engine"
    engine.write_text(ENGINE)
    engine.chmod(0o755)
    monkeypatch.setenv("DOCKER", str(engine))


def written(folder: Path, image: str) -> dict[str, Any]:
    file = folder / "dist" / "sbom.cdx.json"
    runpy.run_path(str(ROOT / ".ci" / "sbom.py"))["main"](file, image)
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def packages(document: dict[str, Any]) -> set[str]:
    return {component["purl"] for component in document["components"]}


@pytest.mark.usefixtures("_engine")
def test_the_sbom_lists_the_packages_of_python_npm_and_debian_in_the_image(tmp_path: Path) -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    page = json.loads((ROOT / "web" / "package.json").read_text(encoding="utf-8"))["dependencies"]
    sbom = written(tmp_path, "orders:9")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(sbom)) is None
    assert packages(sbom) == {
        *(f"pkg:pypi/{name}@{version}" for name, version in re.findall(r"^([a-z0-9.-]+)==(\S+)", lock, re.MULTILINE)),
        *(f"pkg:npm/{name}@{version}" for name, version in page.items()),
        "pkg:generic/python@3.11.7",
        "pkg:deb/debian/adduser@3.134?arch=all&distro=debian-12",
        "pkg:deb/debian/libgcc-s1@12%3A12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12",
    }


@pytest.mark.usefixtures("_engine")
def test_without_the_image_the_sbom_omits_debian_packages_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not any(name.startswith("pkg:deb/") for name in packages(written(tmp_path, "orders:8")))
    assert capsys.readouterr().err.splitlines() == [
        "sbom: image orders:8 not found: omitting Debian packages (run `make image` first)"
    ]
