"""Writes what the image has as one CycloneDX document: `make sbom`.

Usage: sbom.py FILE IMAGE. Python's packages are those of requirements.lock, the page's those of web/package-lock.json;
Debian's packages and Python itself are asked of the image, by the engine that DOCKER names. Without the image they are
left out, and that is said.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PROGRAMS = Path(sys.executable).parent
ASKED = """. /etc/os-release; echo "$ID $VERSION_ID"; python -c 'import platform; print(platform.python_version())'
exec dpkg-query --show --showformat '${Package} ${Version} ${Architecture}\\n'"""

Component = dict[str, Any]


def main(file: Path, image: str) -> None:
    whole = document()
    try:
        whole["components"] += system(image)
    except (OSError, subprocess.CalledProcessError):
        print(
            f"sbom: without Debian's packages, for no engine here has the image {image} (make image)", file=sys.stderr
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(whole, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def document() -> dict[str, Any]:
    """Return the document of Python's packages, the page's among its components."""
    options = ("--pyproject", "pyproject.toml", "--output-reproducible", "--no-validate")
    whole = told("cyclonedx-py", "requirements", *options, "requirements.lock")
    page = told("npm", "--prefix", "web", "sbom", "--sbom-format", "cyclonedx", "--omit", "dev", "--package-lock-only")
    whole["components"] += page["components"]
    return whole


def told(program: str, *arguments: str) -> dict[str, Any]:
    command = [str(PROGRAMS / program), *arguments]
    environment = os.environ | {"PYTHONWARNINGS": "ignore", "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, cwd=ROOT, env=environment)  # noqa: S603
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def system(image: str) -> list[Component]:
    """Return Python and Debian's packages; OSError or CalledProcessError where the image can't be asked."""
    command = [
        os.environ.get("DOCKER", "docker"),
        "run",
        "--rm",
        "--network=none",
        "--entrypoint=sh",
        image,
        "-c",
        ASKED,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)  # noqa: S603
    release, python, *packages = done.stdout.splitlines()
    return [interpreter(python), *(package(line, *release.split()) for line in packages)]


def interpreter(version: str) -> Component:
    name = f"pkg:generic/python@{version}"
    cpe = f"cpe:2.3:a:python:python:{version}:*:*:*:*:*:*:*"
    return {"type": "application", "bom-ref": name, "name": "python", "version": version, "purl": name, "cpe": cpe}


def package(line: str, distribution: str, release: str) -> Component:
    name, version, architecture = line.split()
    encoded = version.replace("+", "%2B").replace("~", "%7E").replace(":", "%3A")
    purl = f"pkg:deb/{distribution}/{name}@{encoded}?arch={architecture}&distro={distribution}-{release}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
