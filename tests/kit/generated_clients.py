"""Generates clients from the API's OpenAPI document, and runs programs that use them."""

import shutil
import subprocess
from pathlib import Path

import httpx2
import pytest

from local import jars
from local.java import java
from service.pkg.shutdown_event import ShutdownEvent
from tests.kit.processes import Service

KEY = "k" * 24
UIDS = ["first", "second", "third"]
TIMEOUT_SECONDS = 120
OMITTED_PARTS = "apiTests=false,modelTests=false,apiDocs=false,modelDocs=false"
JARS = Path(__file__).with_name("openapi-generator-jars.txt")


def run(*command: str | Path, folder: Path) -> str:
    """Run a program to its end, and return its output. Raises AssertionError with the output if it fails."""
    done = subprocess.run(  # noqa: S603 - fixed programs
        command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def save_document(api: Service, folder: Path) -> Path:
    file = folder / "openapi.json"
    file.write_text(httpx2.get(f"{api.url}/openapi.json").raise_for_status().text)
    return file


def require(program: str) -> str:
    """Return the path of a compiler, or skip the test."""
    if found := shutil.which(program):
        return found
    pytest.skip(f"{program} not found on PATH")


def class_path() -> str:
    """Return the jars of OpenAPI Generator, which include Jackson; download missing ones to the cache of the demo."""
    listed, cache = jars.parse_list(JARS.read_text()), jars.cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    if missing := [jar for jar in listed if not jar.is_in(cache)]:
        jars.download(missing, cache, ShutdownEvent())
    return ":".join(str(cache / jar.file_name) for jar in listed)


def generate(language: str, document: Path, folder: Path, **properties: str) -> Path:
    """Generate a client without its documentation and its tests."""
    options = ",".join(f"{name}={value}" for name, value in properties.items())
    program = (java(), "-cp", class_path(), "org.openapitools.codegen.OpenAPIGenerator", "generate")
    arguments = ("-g", language, "-i", document, "-o", folder, f"--additional-properties={options}")
    run(*program, *arguments, f"--global-property={OMITTED_PARTS}", folder=document.parent)
    return folder
