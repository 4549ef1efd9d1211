"""Skips the tests of the chart if Helm is not installed."""

import shutil

import pytest

NOT_RUN = "helm not found on PATH"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("chart")
    helm = shutil.which("helm")
    terminalreporter.line(f"Helm: {helm}" if helm else f"NOT RUN: CHART: {NOT_RUN.upper()}")


@pytest.fixture(scope="session", autouse=True)  # before those of modules, which run helm
def _helm() -> None:
    if not shutil.which("helm"):
        pytest.skip(NOT_RUN)
