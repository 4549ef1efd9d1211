import gc
import warnings
from pathlib import Path

import pytest

from tests.kit import servers
from tests.kit.servers import KAFKA_ADDRESS, POSTGRES_ADDRESS, REQUESTED_TIER, Choice, Tier, TierUnavailable

ADDRESSES = {KAFKA_ADDRESS: "localhost:9092", POSTGRES_ADDRESS: "postgresql://localhost/postgres"}


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")


def test_given_addresses_take_precedence() -> None:
    assert servers.choose(ADDRESSES) == Choice(Tier.ADDRESSES)


@pytest.mark.parametrize("half", ADDRESSES)
def test_one_address_alone_is_an_error_and_not_a_fallback(half: str) -> None:
    with pytest.raises(TierUnavailable, match="is not set"):
        servers.choose({half: ADDRESSES[half]})


@pytest.mark.usefixtures("no_engine")
def test_without_an_engine_servers_are_processes_and_the_reason_is_reported() -> None:
    assert servers.choose({}) == Choice(Tier.EMBEDDED, "testcontainers: no Docker engine responds")


def test_an_unreachable_engine_leaves_no_open_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    servers.choose({})
    with warnings.catch_warnings(record=True, action="always") as told:
        gc.collect()
    assert [str(warning.message) for warning in told if "unclosed <socket" in str(warning.message)] == []


@pytest.mark.usefixtures("no_engine")
def test_an_unavailable_tier_that_is_required_is_an_error_and_not_a_fallback() -> None:
    with pytest.raises(TierUnavailable, match="no Docker engine responds"):
        servers.choose({REQUESTED_TIER: "testcontainers"})


def test_a_required_tier_takes_precedence_over_addresses() -> None:
    assert servers.choose(ADDRESSES | {REQUESTED_TIER: "embedded"}) == Choice(Tier.EMBEDDED)
