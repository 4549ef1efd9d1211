"""The import rule: which packages may import which, and which stay free of drivers and frameworks."""

import ast
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from reference import ROOT
from reference.packages import DECODING, ERRORS, HANDLERS, INWARDS, PACKAGES, PORTS, REPO, REPOS, STATS

ROOTS = ("service", "generator", "migrations", "local", "bench", "tests/kit", "reference")

OWN = {root.partition("/")[0] for root in ROOTS}

SUBPACKAGES = (HANDLERS | REPOS | {PORTS, STATS}) - {REPO}
PASSED_IN = {"service.config", "service.metrics"}
MAY_NAME_TYPES_OF: Mapping[str, set[str]] = {
    **dict.fromkeys(HANDLERS | REPOS, PASSED_IN),
    ERRORS: {"service.entities"},
}
"""Imports under `if TYPE_CHECKING`: of parameters that are passed in, but not created."""

FREE_OF_DRIVERS = INWARDS | {DECODING}
DRIVERS = {
    *("confluent_kafka", "psycopg", "psycopg_pool", "sqlalchemy", "alembic"),
    *("fastapi", "starlette", "uvicorn", "pydantic", "pydantic_settings", "prometheus_client", "structlog"),
}


def test_every_package_imports_only_what_the_rule_allows() -> None:
    assert [broken for path in _sources() for broken in _violations(_module(path), path.read_text())] == []


FORBIDDEN = {
    "service.pkg.lru": "import service.entities.order",
    "service.errors": "from service.entities.dead_letter import DeadLetter",
    "service.usecases.ingest": "from service.repo.writer import order_store",
    "service.usecases.ports.ingest": "from service.usecases.batch import Batch",
    "service.usecases.warm_up": "from service.usecases.stats import view",
    "service.usecases.stats.reader": "from service.handler.http.routes import stats",
    "service.decoding.decoder": "import confluent_kafka",
    "service.repo.writer.order_store": "from service.handler.kafka.client import record",
    "service.repo.schema.migrate": "import migrations",
    "service.repo.columns": "from service.repo.writer import rows",
    "service.repo.reader.order_reader": "from service.repo.writer import stored_orders",
    "service.repo.writer.updates": "from service.repo.operations import erasures",
    "service.handler.http.api": "from service.app.api.command import Api",
    "service.handler.http.responses.problems": "from service.handler.http.openapi import document",
    "service.handler.http.routes.orders": "from service.handler.http.fastpath import responder",
    "service.handler.http.routes.stats": "from service.handler.kafka.client import group_lag",
    "service.handler.kafka.consumer.loop": "from service.config import Settings",
    "service.handler.kafka.client.topics": "from service.handler.kafka.consumer import loop",
    "service.handler.kafka.client.record": "from service.handler.kafka.dead_letters import encoder",
    "service.handler.kafka.consumer.batch_builder": "from service.handler.kafka.dead_letters import encoder",
    "service.handler.kafka.consumer.flow_control.fetch": "from service.handler.kafka.consumer import pipeline",
    "service.handler.kafka.consumer.topic.position_check": "from service.handler.kafka.consumer.partitions import lag",
    "service.handler.kafka.consumer.partitions.lag": "from service.handler.kafka.consumer.reports import retry_report",
    "service.handler.kafka.dead_letters.encoder": "from service.decoding import decoder",
    "service.handler.kafka.operations.kafka_checks": "from service.handler.kafka.consumer.partitions import progress",
    "service.entities.order": "import psycopg.errors",
    "service.pkg.network": "import psycopg",
    "service.pkg.units": "from pydantic import Field",
    "service.usecases.lookup": "from tests.kit import fakes",
    "generator.smoke": "from tests.meta import test_imports",
    "service.app.api.command": "from service.main import main",
    "service.app.commands.dlq.command": "from generator import smoke",
    "service.main": "from generator import smoke",
    "local.demo": "from bench import figures",
    "bench.ingest": "from service.handler.kafka.consumer import worker",
}
"""An import that the rule forbids, by module."""


@pytest.mark.parametrize(("module", "source"), FORBIDDEN.items())
def test_the_rule_detects_a_forbidden_import(module: str, source: str) -> None:
    assert len(_violations(module, source)) == 1


@pytest.mark.parametrize(("module", "source"), FORBIDDEN.items())
def test_a_forbidden_import_names_modules_that_exist(module: str, source: str) -> None:
    (target,) = (target for node in ast.walk(ast.parse(source)) for target in _targets(node))
    assert _exists(module)
    assert _exists(target) or _exists(target.rpartition(".")[0])


def test_packages_do_not_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for path in _sources():
        targets = {_directory(target) for node in ast.walk(ast.parse(path.read_text())) for target in _targets(node)}
        graph.setdefault(_directory(_module(path)), set()).update(targets)
    TopologicalSorter({package: targets - {package} for package, targets in graph.items()}).prepare()


def test_the_rule_allows_only_imports_of_earlier_packages() -> None:
    names = list(PACKAGES)
    for number, (name, package) in enumerate(PACKAGES.items()):
        assert package.may_import - {*names[:number]} == set(), name


def test_the_rule_names_packages_that_exist() -> None:
    assert [package for package in PACKAGES if not _exists(package)] == []


def test_a_package_without_a_rule_is_detected() -> None:
    assert _violations("service.new.module", "import json") == ["service.new.module: its package has no rule"]


def test_every_interface_of_the_use_cases_is_in_one_package() -> None:
    packages = {
        path.parent.name
        for path in (ROOT / "service/usecases").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and "Protocol" in map(ast.unparse, node.bases)
    }
    assert packages == {"ports"}


def test_imports_for_type_checking_are_allowed() -> None:
    source = "if TYPE_CHECKING:\n    from service.config import Settings"
    assert _violations("service.handler.kafka.consumer.loop", source) == []


def _sources() -> Iterator[Path]:
    for package in ROOTS:
        yield from (ROOT / package).rglob("*.py")


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _violations(module: str, source: str) -> list[str]:
    package, tree = _package(module), ast.parse(source)
    if package not in {"service", "service.handler", *PACKAGES}:
        return [f"{module}: its package has no rule"]
    typing_only = {node for branch in ast.walk(tree) if _is_typing_branch(branch) for node in ast.walk(branch)}
    return [
        f"{module} imports {target}"
        for node in ast.walk(tree)
        for target in _targets(node)
        if not _allowed(package, _package(target), typing_only=node in typing_only)
    ]


def _is_typing_branch(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def _targets(node: ast.AST) -> list[str]:
    """Return what an import names. A relative one stays in its package: ruff (TID252) rejects imports of parents."""
    match node:
        case ast.Import(names):
            return [name.name for name in names]
        case ast.ImportFrom(str(source), names, level=0):
            return [f"{source}.{name.name}" for name in names]
        case _:
            return []


def _exists(module: str) -> bool:
    package = module.partition(".")[0]
    path = ROOT.joinpath(*module.split("."))
    return package in DRIVERS or path.is_dir() or path.with_suffix(".py").is_file()


def _directory(module: str) -> str:
    """Return the package of a module, which may be named with an attribute. A module of `service` is its own."""
    path = ROOT.joinpath(*module.split("."))
    if path.is_dir() or module.count(".") < 2:
        return module
    return _directory(module.rpartition(".")[0])


def _package(module: str) -> str:
    """`service.repo.writer.rows` is in `service.repo.writer`, `generator.faults` in `generator`."""
    first, *rest = module.split(".")
    if first == "tests":
        return ".".join([first, *rest[:1]])
    if first != "service":
        return first
    package = ".".join([first, *rest[:1]])
    parents = (each for each in SUBPACKAGES if f"{module}.".startswith(f"{each}."))
    return max(parents, key=len, default=package)


def _allowed(package: str, target: str, *, typing_only: bool) -> bool:
    if target.partition(".")[0] not in OWN:
        return not (package in FREE_OF_DRIVERS and target in DRIVERS)
    return (
        package == target
        or (package in PACKAGES and target in PACKAGES[package].may_import)
        or (typing_only and target in MAY_NAME_TYPES_OF.get(package, set()))
    )
