"""Licenses of the packages in the image."""

import json
import re
from email.message import Message
from typing import TYPE_CHECKING, cast

import pytest

from reference import ROOT
from reference.licenses import expression, require_allowed

if TYPE_CHECKING:
    from importlib.metadata import PackageMetadata

PUBLISHED = (ROOT / "docs" / "licenses.md").read_text(encoding="utf-8")


def locked_packages() -> list[str]:
    return re.findall(r"^([a-z0-9.-]+)==", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE)


def test_the_page_lists_every_package_of_the_image() -> None:
    page = json.loads((ROOT / "web" / "package.json").read_text(encoding="utf-8"))["dependencies"]
    listed = re.findall(r"^\| (\S+) \| (?:PyPI|npm) \| \S", PUBLISHED, re.MULTILINE)
    assert listed == [*locked_packages(), *page]


@pytest.mark.parametrize("spdx", ["MIT", "MIT OR Apache-2.0", "Apache-2.0 AND BSD-2-Clause"])
def test_licenses_that_require_only_a_notice_are_allowed(spdx: str) -> None:
    assert require_allowed("a-package", spdx) == spdx


@pytest.mark.parametrize("spdx", ["AGPL-3.0-only", "MIT AND GPL-2.0-only", "none", ""])
def test_any_other_license_is_an_error_that_names_the_package(spdx: str) -> None:
    with pytest.raises(ValueError, match="a-package: license"):
        require_allowed("a-package", spdx)


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
    assert expression(cast("PackageMetadata", message)) == license_
