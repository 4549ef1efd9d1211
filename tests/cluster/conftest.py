"""Namespaces in a cluster. Only `make e2e` runs these tests, because KUBECONFIG may name a developer's cluster."""

import os
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from tests.cluster.loader import Loader
from tests.cluster.release import Release, run

ENABLED = "ORDERS_TEST_CLUSTER"
HELMS = [name for name in os.environ.get("ORDERS_TEST_HELMS", "helm").split() if shutil.which(name)]
"""All tests run with the first binary; the last one installs, upgrades and tests a release once."""

numbers = count(1)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    return None if ENABLED in os.environ or collection_path.name == "cluster" else True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests marked `nightly`, unless `-m` selects tests. Run the longest tests first: parallel processes then
    finish at about the same time.
    """
    if not config.option.markexpr:
        nightly = [item for item in items if item.get_closest_marker("nightly")]
        config.hook.pytest_deselected(items=nightly)
        items[:] = [item for item in items if item not in nightly]
    items.sort(key=lambda item: item.path.name not in {"test_monitoring.py", "test_faults.py"})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("cluster")
    line = f"Helm: {', '.join(HELMS)}" if ENABLED in os.environ else "NOT RUN: CLUSTER: USE `make e2e`"
    terminalreporter.line(line)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the state of each release's namespace to the report of a failed test."""
    report = yield
    if report.when == "call" and report.failed:
        for each in item.funcargs.values():
            if isinstance(each, Release):
                report.sections.append((f"namespace {each.namespace}", each.diagnostics()))
    return report


@pytest.fixture
def namespace() -> Iterator[str]:
    with new_namespace() as name:
        yield name


@pytest.fixture
def other_namespace() -> Iterator[str]:
    with new_namespace() as name:
        yield name


@contextmanager
def new_namespace() -> Iterator[str]:
    """Yield the name of a new namespace that enforces the restricted pod security standard."""
    name = f"orders-e2e-{os.getpid()}-{next(numbers)}"
    run("kubectl", "create", "namespace", name)
    run("kubectl", "label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield name
    run("kubectl", "delete", "namespace", name, "--wait=false")


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Record what the test measured, for docs/nightly.md."""
    return lambda figure: request.node.user_properties.append(("measured", figure))


@pytest.fixture
def release(namespace: str) -> Release:
    """A release that is not installed yet."""
    return Release(HELMS[0], namespace)


@pytest.fixture
def release_of_another_helm(namespace: str) -> Release:
    """A release that is not installed yet, for the last of the Helm binaries."""
    return Release(HELMS[-1], namespace)


@pytest.fixture
def loader(release: Release) -> Loader:
    return Loader(release)
