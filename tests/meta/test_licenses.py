"""Licenses of the packages in the image. `make licenses` writes their page."""

import json
import re
import runpy
from email.message import Message
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LICENSES: dict[str, Any] = runpy.run_path(str(ROOT / ".ci" / "licenses.py"))
PUBLISHED = (ROOT / "docs" / "licenses.md").read_text(encoding="utf-8")


def locked_packages() -> list[str]:
    return re.findall(r"^([a-z0-9.-]+)==", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE)


def is_installed(name: str) -> bool:
    return any(True for _ in distributions(name=name))


def test_the_page_is_up_to_date() -> None:
    if missing := {name for name in locked_packages() if not is_installed(name)} - LICENSES["WINDOWS_ONLY"].keys():
        pytest.skip(f"the environment lacks {', '.join(sorted(missing))}: run make venv")
    assert LICENSES["render"]() == PUBLISHED


def test_the_page_lists_every_package_of_the_image() -> None:
    page = json.loads((ROOT / "web" / "package.json").read_text(encoding="utf-8"))["dependencies"]
    listed = re.findall(r"^\| (\S+) \| (?:PyPI|npm) \| \S", PUBLISHED, re.MULTILINE)
    assert listed == [*locked_packages(), *page]


@pytest.mark.parametrize("spdx", ["MIT", "MIT OR Apache-2.0", "Apache-2.0 AND BSD-2-Clause"])
def test_licenses_that_require_only_a_notice_are_allowed(spdx: str) -> None:
    assert LICENSES["require_allowed"]("a-package", spdx) == spdx


@pytest.mark.parametrize("spdx", ["AGPL-3.0-only", "MIT AND GPL-2.0-only", "none", ""])
def test_any_other_license_is_an_error_that_names_the_package(spdx: str) -> None:
    with pytest.raises(ValueError, match="a-package: license"):
        LICENSES["require_allowed"]("a-package", spdx)


@pytest.mark.parametrize(
    ("metadata", "license_"),
    [
        ({"License-Expression": "MIT", "License": "see the file"}, "MIT"),
        ({"License": "3-Clause BSD License"}, "BSD-3-Clause"),
        ({"Classifier": "License :: OSI Approved :: Apache Software License"}, "Apache-2.0"),
        ({"Classifier": "Programming Language :: Python"}, "none"),
    ],
)
def test_a_license_in_older_metadata_is_recognized(metadata: dict[str, str], license_: str) -> None:
    message = Message()
    for key, value in metadata.items():
        message[key] = value
    assert LICENSES["expression"](message) == license_
