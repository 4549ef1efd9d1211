"""Lock files pin every dependency to one version and to hashes, without the URL of a registry."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = {file.name: file.read_text(encoding="utf-8") for file in sorted(ROOT.glob("requirements*.lock"))}
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PAGE: dict[str, dict[str, Any]] = json.loads((ROOT / "web" / "package-lock.json").read_text(encoding="utf-8"))[
    "packages"
]

each_lock = pytest.mark.parametrize("lock", LOCKS)


def requirements(lock: str) -> Iterator[str]:
    """Yield the file's requirements, each as one line with its hashes."""
    joined = re.sub(r"\\\n", "", LOCKS[lock])
    return (line for line in joined.splitlines() if line and not line.lstrip().startswith("#"))


def versions(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", LOCKS[lock], re.MULTILINE))


@each_lock
def test_every_requirement_is_one_version_with_hashes(lock: str) -> None:
    assert len(versions(lock)) > 1
    for requirement in requirements(lock):
        assert re.fullmatch(r"[a-z0-9.-]+==[\w.]+( ; [^\\]+?)?(\s+--hash=sha256:[0-9a-f]{64})+", requirement)


def test_every_package_of_the_page_has_a_hash_and_no_url() -> None:
    packages = {name: package for name, package in PAGE.items() if name}
    assert len(packages) > 1
    for package in packages.values():
        assert package["integrity"].startswith("sha512-")
        assert "resolved" not in package


def test_the_direct_dependencies_of_the_page_are_pinned() -> None:
    named = PAGE[""]["dependencies"] | PAGE[""]["devDependencies"]
    assert named == {name: PAGE[f"node_modules/{name}"]["version"] for name in named}


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-build.lock"])
def test_the_image_has_the_versions_that_the_tests_use(lock: str) -> None:
    assert versions(lock).items() <= versions("requirements-dev.lock").items()


def test_the_image_installs_nothing_without_a_hash() -> None:
    instructions = re.sub(r"\\\n", "", DOCKERFILE).replace("&&", "\n")
    installs = re.findall(r"pip\S* (?:--python \S+ )?install (.*?) *$", instructions, re.MULTILINE)
    assert installs == [
        *(
            f"--require-hashes --only-binary :all: -r {lock}"
            for lock in ("requirements.lock", "requirements-build.lock")
        ),
        "--no-deps /wheel/*.whl",
    ]
    assert re.findall(r"npm .*", instructions) == ["npm --prefix web ci", "npm --prefix web run build"]


def test_the_base_image_is_a_tag_that_a_digest_can_replace() -> None:
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) == ["${PYTHON_IMAGE}"] * 2
    assert re.search(r"^ARG PYTHON_IMAGE=\S+:\S+$", DOCKERFILE, re.MULTILINE)


def test_tools_are_built_at_one_version() -> None:
    tools = re.findall(r"^  tool \S+ (\S+)", (ROOT / ".ci" / "tools.sh").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(tools) > 1
    assert all(re.search(r"@v\d+\.\d+\.\d+$", tool) for tool in tools)
