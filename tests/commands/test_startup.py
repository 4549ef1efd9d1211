"""A command imports what it runs on, and nothing of the others: what is not loaded costs no time and no memory."""

import subprocess
import sys

import pytest

from local.process import environment_without_settings
from service.command_line import COMMANDS

LOADED = """
import sys
from service import config, logs, main
main.import_command(sys.argv[1])
print(*{name.partition(".")[0] for name in sys.modules})
"""
VERSION = """
import sys
from service.main import main
main(["--version"])
print(*{name.partition(".")[0] for name in sys.modules})
"""
WITHOUT_TRACES = """
import os, sys
os.environ["OTEL_EXPORTER_OTLP_HEADERS"] = "nonsense"
os.environ.pop("OTEL_EXPORTER_OTLP_ENDPOINT", None)
os.environ.pop("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", None)
from service.app.tracing import tracing
with tracing("consumer", "1"):
    print(*{name.partition(".")[0] for name in sys.modules})
"""
OF_REGISTRY = {"authlib", "cryptography", "fastavro", "google", "httpx2"}
"""Packages of the extra `registry`, which a command needs only if a registry is set."""
MIGRATING = {"migrate", "wait-for-migrations", "doctor", "distribute"}
GENERATING = {"generate", "check", "smoke"}
SINGLE_ATTEMPT = {"dlq", "rewind", "skip-batch", "erase", "prune", "schema", "completion"}
"""They fail if a server is unreachable, or need none, and repeat nothing."""
OUTSIDE = {"demo": {"local"}, "bench": {"bench", "local"}}


def modules(program: str, *arguments: str) -> set[str]:
    """Return the top-level packages that a fresh interpreter has loaded after this program."""
    ended = subprocess.run(  # noqa: S603 our own program
        [sys.executable, "-c", program, *arguments],
        env=environment_without_settings(),
        capture_output=True,
        text=True,
        check=True,
    )
    return set(ended.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in OUTSIDE])
def test_a_command_loads_only_what_it_runs_on(command: str) -> None:
    loaded = modules(LOADED, command)
    assert not loaded & {"local", "bench"}
    assert not loaded & OF_REGISTRY
    assert ("generator" in loaded) == (command in GENERATING)
    assert ("sqlalchemy" in loaded) == (command in MIGRATING)
    assert ("tenacity" in loaded) == (command not in SINGLE_ATTEMPT)
    assert ("uvicorn" in loaded) == (command in {"consumer", "api"})
    assert ("uvloop" in loaded) == (command == "api")


@pytest.mark.parametrize("command", OUTSIDE)
def test_commands_outside_the_service_load_no_database_schema(command: str) -> None:
    loaded = modules(LOADED, command)
    assert loaded & {"local", "bench"} == OUTSIDE[command]
    assert "sqlalchemy" not in loaded


def test_the_version_is_printed_without_importing_drivers_and_frameworks() -> None:
    loaded = modules(VERSION)
    assert not loaded & {
        "pydantic",
        "structlog",
        "confluent_kafka",
        "psycopg",
        "fastapi",
        "msgspec",
        "shtab",
        "tenacity",
    }


def test_without_an_endpoint_opentelemetry_is_not_imported() -> None:
    assert "opentelemetry" not in modules(WITHOUT_TRACES)
