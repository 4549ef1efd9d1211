"""Writes a CycloneDX SBOM of the image: `make sbom`.

Usage: sbom.py FILE IMAGE. Lists Python packages from requirements.lock and npm packages from web/package-lock.json.
Debian packages and Python's version are read from the image, with the engine in DOCKER; without the image they are
omitted, with a warning.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PROGRAMS = Path(sys.executable).parent
LIST_PACKAGES = """. /etc/os-release; echo "$ID $VERSION_ID"
python -c 'import platform; print(platform.python_version())'
exec dpkg-query --show --showformat '${Package} ${Version} ${Architecture}\\n'"""

Component = dict[str, Any]


def main(file: Path, image: str) -> None:
    sbom = document()
    try:
        sbom["components"] += system(image)
    except (OSError, subprocess.CalledProcessError):
        print(f"sbom: image {image} not found: omitting Debian packages (run `make image` first)", file=sys.stderr)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(sbom, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def document() -> dict[str, Any]:
    """Return the document with the Python and npm packages."""
    options = ("--pyproject", "pyproject.toml", "--output-reproducible", "--no-validate")
    python = run_for_json("cyclonedx-py", "requirements", *options, "requirements.lock")
    npm_options = ("--sbom-format", "cyclonedx", "--omit", "dev", "--package-lock-only")
    python["components"] += run_for_json("npm", "--prefix", "web", "sbom", *npm_options)["components"]
    return python


def run_for_json(program: str, *arguments: str) -> dict[str, Any]:
    command = [str(PROGRAMS / program), *arguments]
    environment = os.environ | {"PYTHONWARNINGS": "ignore", "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, cwd=ROOT, env=environment)  # noqa: S603
    output: dict[str, Any] = json.loads(done.stdout)
    return output


def system(image: str) -> list[Component]:
    """Return Python and the Debian packages. Raises OSError or CalledProcessError if the image cannot be run."""
    command = [
        os.environ.get("DOCKER", "docker"),
        "run",
        "--rm",
        "--network=none",
        "--entrypoint=sh",
        image,
        "-c",
        LIST_PACKAGES,
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
