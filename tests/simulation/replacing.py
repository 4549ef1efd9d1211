"""Replaces what modules have imported, such as `monotonic`: no module needs code for the simulation, or an entry here.

Values are found by identity, wherever they are: as names of a module, and as defaults of arguments (`now=monotonic`).
"""

import inspect
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from types import FunctionType, ModuleType
from typing import Any, NamedTuple


@contextmanager
def replaced(replacements: Mapping[int, Any], packages: tuple[str, ...]) -> Iterator[None]:
    """Replace the values with these ids in the loaded modules of these packages."""
    places = _places(frozenset(replacements), packages, len(sys.modules))
    for place in places:
        place.replace(replacements)
    try:
        yield
    finally:
        for place in places:
            place.restore()


class _Place(NamedTuple):
    """An attribute whose value is replaced, or which contains values that are replaced."""

    holder: Any
    name: str
    value: Any

    def replace(self, replacements: Mapping[int, Any]) -> None:
        setattr(self.holder, self.name, _replaced(self.value, replacements))

    def restore(self) -> None:
        setattr(self.holder, self.name, self.value)


def _replaced(value: Any, replacements: Mapping[int, Any]) -> Any:
    if isinstance(value, tuple):
        return tuple(replacements.get(id(each), each) for each in value)
    if isinstance(value, dict):
        return {name: replacements.get(id(each), each) for name, each in value.items()}
    return replacements[id(value)]


@cache
def _places(values: frozenset[int], packages: tuple[str, ...], _loaded: int) -> list[_Place]:
    """Return where values with these ids are used. Searching takes long, and repeats only after further imports."""
    modules = [module for name, module in [*sys.modules.items()] if name.partition(".")[0] in packages]
    return [*_names(modules, values), *_defaults(modules, values)]


def _names(modules: list[ModuleType], values: frozenset[int]) -> Iterator[_Place]:
    for module in modules:
        for name, value in vars(module).items():
            if id(value) in values:
                yield _Place(module, name, value)


def _defaults(modules: list[ModuleType], values: frozenset[int]) -> Iterator[_Place]:
    for function in _functions(modules):
        defaults, keywords = function.__defaults__ or (), function.__kwdefaults__ or {}
        if not values.isdisjoint(map(id, defaults)):
            yield _Place(function, "__defaults__", defaults)
        if not values.isdisjoint(map(id, keywords.values())):
            yield _Place(function, "__kwdefaults__", keywords)


def _functions(modules: list[ModuleType]) -> Iterator[FunctionType]:
    for module in modules:
        for value in vars(module).values():
            if inspect.isfunction(value):
                yield value
            elif inspect.isclass(value) and value.__module__ == module.__name__:
                yield from filter(inspect.isfunction, vars(value).values())
