"""Wheel and chart have the same bytes each time that a commit is packaged. A published chart installs its image."""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import yaml

from tests.chart.helm import containers, pod_templates, render

ROOT = Path(__file__).parents[2]
PACKAGED = [".ci", "LICENSE", "README.md", "chart", "docs", "generator", "migrations", "pyproject.toml", "service"]
COMMITTED = "1700000000"


def test_a_commit_is_packaged_to_the_same_bytes(tmp_path: Path) -> None:
    one = packages(tmp_path / "one", umask=0o022, modified=1_750_000_000)
    other = packages(tmp_path / "other", umask=0o077, modified=1_760_000_000)
    assert sorted(one) == ["orders-0.1.0-py3-none-any.whl", "orders-0.1.0.tgz"]
    assert one == other


def test_a_published_chart_installs_the_published_image(tmp_path: Path) -> None:
    packages(tmp_path, "ghcr.io/acme/orders")
    chart = tmp_path / "dist" / "orders-0.1.0.tgz"
    images = {each["image"] for pod in pod_templates(render(chart=chart)) for each in containers(pod)}
    assert {image for image in images if "orders" in image} == {"ghcr.io/acme/orders:0.1.0"}
    with tarfile.open(chart) as archive:
        metadata, license_ = archive.extractfile("orders/Chart.yaml"), archive.extractfile("orders/LICENSE")
        assert metadata
        assert license_
        annotations = yaml.safe_load(metadata)["annotations"]
        assert license_.read() == (ROOT / "LICENSE").read_bytes()
    assert annotations["artifacthub.io/license"] == "MIT"
    assert yaml.safe_load(annotations["artifacthub.io/images"]) == [
        {"name": "orders", "image": "ghcr.io/acme/orders:0.1.0"}
    ]


def packages(folder: Path, *repository: str, umask: int = 0o022, modified: int = 1_750_000_000) -> dict[str, bytes]:
    """Return the packages, by name, of a checkout whose files were modified at this time (s since 1970)."""
    checkout, dist = folder / "checkout", folder / "dist"
    checkout.mkdir(parents=True)
    for name in PACKAGED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, checkout / name)
    for path in checkout.rglob("*"):
        path.chmod(path.stat().st_mode & ~umask)
        os.utime(path, (modified, modified))
    (checkout / ".venv").symlink_to(ROOT / ".venv")
    subprocess.run(  # noqa: S603 - a fixed program
        [checkout / ".ci" / "package.sh", dist, *repository],
        env=os.environ | {"SOURCE_DATE_EPOCH": COMMITTED}, umask=umask, check=True, capture_output=True,
    )  # fmt: skip
    return {path.name: path.read_bytes() for path in dist.iterdir()}
