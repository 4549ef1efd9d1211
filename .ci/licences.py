"""Writes docs/licences.md from the lock files and the metadata of what is installed: `make licences`.

Usage: licences.py FILE. Of the demo's own packages and the broker's jars nothing is in the image: they are not listed.
"""

import json
import re
import sys
from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
ALLOWED = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "LGPL-3.0-only", "MIT", "MPL-2.0", "PSF-2.0"
}  # fmt: skip
"""SPDX identifiers. What is under the LGPL or the MPL is used as it comes, and can be replaced: no more is asked."""
SAID_OTHERWISE = {
    "3-Clause BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "MIT License": "MIT",
}
NOT_HERE = {"tzdata": "Apache-2.0"}
"""What is installed on Windows alone."""
PAGE = """\
# Licences

The components of the image besides Orders itself (MIT): Python packages of `requirements.lock`, and
packages of the page from `web/package-lock.json`. `make licences` generates this table from the
packages' metadata.

The image also contains Python (PSF-2.0) and Debian packages, whose licences are in
`/usr/share/doc/*/copyright`. Some packages bundle libraries: confluent-kafka librdkafka
(BSD-2-Clause), fastapi-swagger Swagger UI (Apache-2.0), uvloop libuv (MIT), psycopg-binary libpq
(PostgreSQL) with OpenSSL (Apache-2.0), MIT Kerberos (MIT), OpenLDAP (OLDAP-2.8), Cyrus SASL (BSD),
libkeyutils and libxcrypt (LGPL-2.1-or-later). Kafka (Apache-2.0) and PostgreSQL (PostgreSQL), which
the chart and the demo start, come in their own images and packages.

| package | from | licence |
|---|---|---|
"""


def written() -> str:
    return PAGE + "".join(f"| {name} | {source} | {licence} |\n" for name, source, licence in rows())


def rows() -> list[tuple[str, str, str]]:
    """Return name, registry and SPDX expression of each; ValueError where one has none that is known."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    python = [(name, "PyPI", of_python(name)) for name in re.findall(r"^([a-z0-9.-]+)==", lock, re.MULTILINE)]
    return [*python, *of_page()]


def of_page() -> list[tuple[str, str, str]]:
    packages = json.loads((ROOT / "web" / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    shipped = {name: package for name, package in packages.items() if name and not package.get("dev")}
    return [(name.removeprefix("node_modules/"), "npm", allowed(name, of["license"])) for name, of in shipped.items()]


def of_python(name: str) -> str:
    try:
        about = metadata(name)
    except PackageNotFoundError:
        return allowed(name, NOT_HERE.get(name, "unknown: it is not installed"))
    return allowed(name, expression(about))


def expression(about: PackageMetadata) -> str:
    """Return the SPDX expression, or what stands for one in older metadata."""
    said = about["License-Expression"] or about["License"] or next(iter(classifiers(about)), "none")
    return SAID_OTHERWISE.get(said, said)


def classifiers(about: PackageMetadata) -> list[str]:
    return [each for each in about.get_all("Classifier") or [] if each.startswith("License ::")]


def allowed(name: str, licence: str) -> str:
    if not set(re.split(r" AND | OR ", licence)) <= ALLOWED:
        raise ValueError(f"{name}: the licence {licence} is on no list")
    return licence


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(written(), encoding="utf-8")
