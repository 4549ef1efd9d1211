"""Repeats the properties for `ORDERS_FUZZ_MINUTES`, and reports the number of examples."""

from collections import Counter
from collections.abc import Callable
from functools import wraps
from time import monotonic
from typing import Any

import pytest

from tests.fuzz.profile import MINUTES

EXAMPLES: Counter[str] = Counter()


def is_property(item: pytest.Item) -> bool:
    return hasattr(getattr(item, "obj", None), "hypothesis")


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not is_property(pyfuncitem):
        return None
    share = 60 * MINUTES / sum(map(is_property, pyfuncitem.session.items))
    deadline = monotonic() + share
    handle = pyfuncitem.obj.hypothesis
    handle.inner_test = counting(pyfuncitem.name, handle.inner_test)
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    pyfuncitem.obj(**arguments)
    while monotonic() < deadline:
        pyfuncitem.obj(**arguments)
    return True


def counting(name: str, test: Callable[..., None]) -> Callable[..., None]:
    @wraps(test)
    def counted(*arguments: Any, **named: Any) -> None:
        EXAMPLES[name] += 1
        test(*arguments, **named)

    return counted


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if EXAMPLES:
        terminalreporter.section("fuzz")
        for name, count in EXAMPLES.items():
            terminalreporter.line(f"{count:>10,} examples  {name}")
