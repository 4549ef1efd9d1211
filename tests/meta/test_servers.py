import gc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kit import servers
from tests.kit.servers import KAFKA_ADDRESS, POSTGRES_ADDRESS, REQUESTED_SOURCE, Choice, ServersUnavailable, Source

ADDRESSES = {KAFKA_ADDRESS: "localhost:9092", POSTGRES_ADDRESS: "postgresql://localhost/postgres"}


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")


def test_given_addresses_take_precedence() -> None:
    assert servers.choose(ADDRESSES) == Choice(Source.GIVEN)


@pytest.mark.parametrize("half", ADDRESSES)
def test_one_address_alone_is_an_error_and_not_a_fallback(half: str) -> None:
    with pytest.raises(ServersUnavailable, match="is not set"):
        servers.choose({half: ADDRESSES[half]})


@pytest.mark.usefixtures("no_engine")
def test_without_an_engine_servers_are_processes_and_the_reason_is_reported() -> None:
    assert servers.choose({}) == Choice(Source.PROCESSES, "no Docker engine responds")


def test_an_unreachable_engine_leaves_no_open_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    servers.choose({})
    with warnings.catch_warnings(record=True, action="always") as caught:
        gc.collect()
    assert [str(warning.message) for warning in caught if "unclosed <socket" in str(warning.message)] == []


@pytest.mark.usefixtures("no_engine")
def test_an_unavailable_source_that_is_required_is_an_error_and_not_a_fallback() -> None:
    with pytest.raises(ServersUnavailable, match="no Docker engine responds"):
        servers.choose({REQUESTED_SOURCE: "containers"})


def test_a_required_source_takes_precedence_over_addresses() -> None:
    assert servers.choose(ADDRESSES | {REQUESTED_SOURCE: "processes"}) == Choice(Source.PROCESSES)


def test_an_unknown_source_is_refused_with_the_allowed_values() -> None:
    with pytest.raises(ServersUnavailable) as refusal:
        servers.choose({REQUESTED_SOURCE: "embedded"})
    assert str(refusal.value) == (
        "ORDERS_TEST_SERVERS=embedded is invalid. Allowed values: given, containers, processes"
    )


@pytest.mark.usefixtures("no_engine")
@pytest.mark.parametrize("run", [servers.kafka, servers.postgres])
def test_an_engine_that_stops_during_a_run_is_reported_in_one_line(run: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match="the Docker engine stopped responding") as failure:
        run(Source.CONTAINERS, tmp_path).__enter__()
    assert not failure.value.pytrace
