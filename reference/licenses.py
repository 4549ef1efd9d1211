"""docs/licenses.md, from the lock files and the metadata of the installed packages.

Lists the packages in the image, so neither the extra `demo` nor Kafka's jars.
"""

import json
import re
from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata

from reference import ROOT

ALLOWED = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "LGPL-3.0-only", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0"
}  # fmt: skip
"""SPDX identifiers. Packages under LGPL and MPL are unmodified and replaceable, which satisfies these licenses."""
SPDX_BY_OLD_NAME = {
    "3-Clause BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "MIT License": "MIT",
}
ELSEWHERE = {"httpx2-jsfetch": "BSD-3-Clause", "tzdata": "Apache-2.0"}
"""Packages of other platforms, which are not installed here, so that their metadata cannot be read."""
PAGE = """\
# Licenses

The components of the image besides Orders itself (MIT): Python packages of `requirements.lock`, and
packages of the page from `web/package-lock.json`. `make reference` generates this table from the
packages' metadata.

The image also contains Python (PSF-2.0) and Debian packages, whose licenses are in
`/usr/share/doc/*/copyright`. Some packages bundle libraries: confluent-kafka librdkafka
(BSD-2-Clause), fastapi-swagger Swagger UI (Apache-2.0), uvloop libuv (MIT), psycopg-binary libpq
(PostgreSQL) with OpenSSL (Apache-2.0), MIT Kerberos (MIT), OpenLDAP (OLDAP-2.8), Cyrus SASL (BSD),
libkeyutils and libxcrypt (LGPL-2.1-or-later). Kafka (Apache-2.0) and PostgreSQL (PostgreSQL), which
the chart and the demo start, come in their own images and packages.

| package | from | license |
|---|---|---|
"""


def render() -> str:
    return PAGE + "".join(f"| {name} | {source} | {spdx} |\n" for name, source, spdx in rows())


def rows() -> list[tuple[str, str, str]]:
    """Return name, registry and SPDX expression of each package. Raises ValueError if a license is not allowed."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    python = [(name, "PyPI", python_license(name)) for name in re.findall(r"^([a-z0-9.-]+)==", lock, re.MULTILINE)]
    return [*python, *npm_rows()]


def npm_rows() -> list[tuple[str, str, str]]:
    packages = json.loads((ROOT / "web" / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    shipped = {name: package for name, package in packages.items() if name and not package.get("dev")}
    return [
        (name.removeprefix("node_modules/"), "npm", require_allowed(name, package["license"]))
        for name, package in shipped.items()
    ]


def python_license(name: str) -> str:
    try:
        package = metadata(name)
    except PackageNotFoundError:
        return require_allowed(name, ELSEWHERE.get(name, "unknown (the package is not installed)"))
    return require_allowed(name, expression(package))


def expression(package: PackageMetadata) -> str:
    """Return the SPDX expression. Older metadata has a name or a classifier instead."""
    spdx = package["License-Expression"] or package["License"] or next(iter(classifiers(package)), "none")
    return SPDX_BY_OLD_NAME.get(spdx, spdx)


def classifiers(package: PackageMetadata) -> list[str]:
    return [each for each in package.get_all("Classifier") or [] if each.startswith("License ::")]


def require_allowed(name: str, spdx: str) -> str:
    """Return the license. Raises ValueError if it is not allowed."""
    if not set(re.split(r" AND | OR ", spdx)) <= ALLOWED:
        raise ValueError(f"{name}: license {spdx} is not allowed: see ALLOWED in reference/licenses.py")
    return spdx
