"""The undocumented members of uvicorn that the server depends on exist, and are used in one file only."""

import ast
import asyncio
from pathlib import Path

import httptools
import pytest
from uvicorn import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from service.handler.http.fastpath import uvicorn_protocol
from service.handler.http.fastpath.keep_alive import KeepAliveProtocol
from service.handler.http.fastpath.protocol import LimitedProtocol
from service.handler.http.fastpath.upgrade import UpgradeIgnoringProtocol
from service.handler.http.fastpath.uvicorn_protocol import (
    ASYNCIO_CALLBACKS,
    ATTRIBUTES,
    CYCLE_ATTRIBUTES,
    FLOW_ATTRIBUTES,
    HTTPTOOLS_CALLBACKS,
    METHODS,
    REQUEST_ATTRIBUTES,
    UvicornProtocol,
)

SERVICE = Path(__file__).parents[5] / "service"
WRAPPED = {"connections", "cycle", "flow", "headers", "parser", "pipeline", "tasks", "timeout_keep_alive_task", "url"}
"""Attributes that only UvicornProtocol may use."""


@pytest.fixture
def protocol() -> HttpToolsProtocol:
    config = Config(app=lambda: None, lifespan="off", log_config=None)
    return HttpToolsProtocol(config, ServerState(), {}, _loop=object())  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [*METHODS, *ASYNCIO_CALLBACKS, *HTTPTOOLS_CALLBACKS])
def test_uvicorn_has_the_method(name: str) -> None:
    assert callable(vars(HttpToolsProtocol).get(name))


def test_the_callbacks_are_public_api() -> None:
    assert {*ASYNCIO_CALLBACKS} <= {*dir(asyncio.Protocol)}
    assert {*HTTPTOOLS_CALLBACKS} <= {*vars(httptools.HTTPProtocol)}


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_uvicorn_has_the_attribute(protocol: HttpToolsProtocol, name: str) -> None:
    assert name in vars(protocol)


def test_uvicorn_has_the_attributes_of_a_request_and_of_flow_control() -> None:
    assert {*REQUEST_ATTRIBUTES} <= {*HttpToolsProtocol.on_message_begin.__code__.co_names}
    assert {*CYCLE_ATTRIBUTES} <= assigned(RequestResponseCycle)
    assert {*FLOW_ATTRIBUTES} <= assigned(FlowControl) | {*vars(FlowControl)}


def assigned(cls: type) -> set[str]:
    """Return the attributes that `__init__` uses, which includes all that it sets."""
    return {*cls.__init__.__code__.co_names}  # type: ignore[misc]


def test_every_overridden_method_is_listed() -> None:
    ours = (UvicornProtocol, UpgradeIgnoringProtocol, KeepAliveProtocol, LimitedProtocol)
    overridden = {name for cls in ours for name in vars(cls)} & {*vars(HttpToolsProtocol)}
    assert {name for name in overridden if not name.startswith("__")} <= {
        *METHODS,
        *ASYNCIO_CALLBACKS,
        *HTTPTOOLS_CALLBACKS,
    }


def test_no_other_file_uses_undocumented_members() -> None:
    used = {
        path.relative_to(SERVICE).as_posix()
        for path in SERVICE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("uvicorn."))
        or (
            isinstance(node, ast.Attribute)
            and node.attr in WRAPPED
            and ast.unparse(node.value) == "self"
            and path.parent.name == "fastpath"
        )
    }
    assert used == {Path(uvicorn_protocol.__file__).relative_to(SERVICE).as_posix()}


def test_the_minor_version_of_uvicorn_is_pinned() -> None:
    declared = (SERVICE.parent / "pyproject.toml").read_text()
    assert '"uvicorn>=0.54,<0.55"' in declared
