"""The import rule: which packages may import which, and which stay free of drivers and frameworks."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("service", "generator", "migrations", "local", "bench")

ERRORS = "service.errors"
INWARDS = {ERRORS, "service.entities", "service.pkg", "service.usecases"}
CLIENT = "service.handler.kafka.client"
SERVICE = INWARDS | {CLIENT, "service.handler", "service.repo", "service.config", "service.logs", "service.metrics"}
MAY_IMPORT: Mapping[str, set[str]] = {
    ERRORS: set(),
    "service.entities": set(),
    "service.pkg": {ERRORS},
    "service.usecases": {ERRORS, "service.entities", "service.pkg"},
    "service.repo": INWARDS,
    "service.handler": INWARDS | {CLIENT},
    CLIENT: INWARDS,
    "service.app": SERVICE,
    "service.config": {ERRORS, "service.pkg"},
    "service.logs": {"service.pkg"},
    "service.metrics": {"service.pkg"},
    "service.main": SERVICE,
    "service.__main__": {"service.main"},
    # Beside the service, which imports none of them: main finds their commands by name.
    "migrations": {"service.repo", "service.config"},  # env.py is where the `alembic` command enters
    "generator": SERVICE,
    "local": INWARDS,
    "bench": INWARDS | {"generator", "service.config", "local", "service.repo"},
}
PASSED_IN = {"service.config", "service.metrics"}
MAY_NAME_TYPES_OF: Mapping[str, set[str]] = {
    "service.repo": PASSED_IN,
    "service.handler": PASSED_IN,
    CLIENT: PASSED_IN,
    ERRORS: {"service.entities"},
}
"""Imports under `if TYPE_CHECKING`: of parameters that are passed in, but not created."""

FREE_OF_DRIVERS = {ERRORS, "service.entities", "service.usecases"}
DRIVERS = {"confluent_kafka", "fastapi", "sqlalchemy", "psycopg", "psycopg_pool", "prometheus_client"}


def test_every_package_imports_only_what_the_rule_allows() -> None:
    assert [broken for path in _sources() for broken in _violations(_module(path), path.read_text())] == []


def test_the_rule_detects_each_kind_of_forbidden_import() -> None:
    forbidden = {
        "service.pkg.lru": "import service.entities.order",
        "service.errors": "from service.entities.dead_letter import DeadLetter",
        "service.usecases.ingest": "from service import repo",
        "service.repo.writes": "from service.handler.kafka import batch",
        "bench.ingest": "from service.handler.kafka import writer",
        "local.demo": "from bench import figures",
        "service.handler.http.api": "from service.app.api import Api",
        "service.handler.kafka.loop": "from service.config import Settings",
        "service.entities.order": "import psycopg.errors",
        "service.app.api": "from service.main import main",
        "service.app.commands.dlq": "from generator import command",
        "service.main": "from generator import command",
        "service.repo.migrate": "import migrations",
        "service.handler.kafka.client.topics": "from service.handler.kafka.consumer import loop",
        "service.attic": "import json",
    }
    assert [module for module, source in forbidden.items() if not _violations(module, source)] == []


def test_imports_for_type_checking_are_allowed() -> None:
    source = "if TYPE_CHECKING:\n    from service.config import Settings"
    assert _violations("service.handler.kafka.loop", source) == []


def _sources() -> Iterator[Path]:
    for package in PACKAGES:
        yield from (ROOT / package).rglob("*.py")


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _violations(module: str, source: str) -> list[str]:
    room, tree = _room(module), ast.parse(source)
    if room not in {"service", *MAY_IMPORT}:
        return [f"{module}: its room has no rule"]
    typing_only = {node for branch in ast.walk(tree) if _is_typing_branch(branch) for node in ast.walk(branch)}
    return [
        f"{module} imports {target}"
        for node in ast.walk(tree)
        for target in _targets(node)
        if not _allowed(room, _room(target), typing_only=node in typing_only)
    ]


def _is_typing_branch(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def _targets(node: ast.AST) -> list[str]:
    """Return what an import names; a relative one stays in its room, because ruff's TID252 refuses those of parents."""
    match node:
        case ast.Import(names):
            return [name.name for name in names]
        case ast.ImportFrom(str(source), names, level=0):
            return [f"{source}.{name.name}" for name in names]
        case _:
            return []


def _room(module: str) -> str:
    """`service.repo.writes` is in `service.repo`, `generator.faults` in `generator`, `psycopg.errors` in `psycopg`."""
    if module.startswith(CLIENT):
        return CLIENT
    first, *rest = module.split(".")
    return ".".join([first, *rest[:1]]) if first == "service" else first


def _allowed(room: str, target: str, *, typing_only: bool) -> bool:
    if not target.startswith(PACKAGES):
        return not (room in FREE_OF_DRIVERS and target in DRIVERS)
    return (
        room == target
        or target in MAY_IMPORT.get(room, set())
        or (typing_only and target in MAY_NAME_TYPES_OF.get(room, set()))
    )
