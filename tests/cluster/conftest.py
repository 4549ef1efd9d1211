"""Namespaces of a cluster, for `make e2e` alone: no other run may touch what a developer's KUBECONFIG names."""

import os
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from tests.cluster.loader import Loader
from tests.cluster.release import Release, run

ASKED_FOR = "ORDERS_TEST_CLUSTER"
HELMS = [name for name in os.environ.get("ORDERS_TEST_HELMS", "helm").split() if shutil.which(name)]
"""The first one does it all; the last one installs, upgrades and tests once."""

numbers = count(1)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    return None if ASKED_FOR in os.environ or collection_path.name == "cluster" else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with those that last as long as their load does, so that no process of several ends with one of them."""
    items.sort(key=lambda item: item.path.name not in {"test_monitoring.py", "test_faults.py"})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("cluster")
    told = f"Helm: {', '.join(HELMS)}" if ASKED_FOR in os.environ else "NOT RUN: CLUSTER: IT IS FOR `make e2e`"
    terminalreporter.line(told)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure tells what the cluster tells."""
    report = yield
    if report.when == "call" and report.failed:
        for each in item.funcargs.values():
            if isinstance(each, Release):
                report.sections.append((f"namespace {each.namespace}", each.told()))
    return report


@pytest.fixture
def namespace() -> Iterator[str]:
    with fresh_namespace() as name:
        yield name


@pytest.fixture
def other_namespace() -> Iterator[str]:
    with fresh_namespace() as name:
        yield name


@contextmanager
def fresh_namespace() -> Iterator[str]:
    """Yield the name of a namespace that lets only restricted pods in."""
    name = f"orders-e2e-{os.getpid()}-{next(numbers)}"
    run("kubectl", "create", "namespace", name)
    run("kubectl", "label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield name
    run("kubectl", "delete", "namespace", name, "--wait=false")


@pytest.fixture
def release(namespace: str) -> Release:
    """A release that is not installed yet."""
    return Release(HELMS[0], namespace)


@pytest.fixture
def release_of_another_helm(namespace: str) -> Release:
    """The same by the last Helm that is named, where there are several."""
    return Release(HELMS[-1], namespace)


@pytest.fixture
def loader(release: Release) -> Loader:
    return Loader(release)
