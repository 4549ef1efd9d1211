"""The API's parts are created and connected without a server, and nothing runs yet."""

import threading
from pathlib import Path

import pytest

from service.app.api.metrics import connect_metrics
from service.app.api.wiring import build
from service.config import Settings
from service.config.settings import AuthSettings
from service.errors import InvalidSettings
from service.handler.http.security.keys import MIN_KEY_LENGTH
from service.usecases.warm_up import WarmUpResult


def test_nothing_is_started_and_no_server_is_reached() -> None:
    threads = threading.active_count()
    parts = build(Settings())
    assert threading.active_count() == threads
    assert (parts.keys, parts.database.status.is_reachable, parts.cache.warm_up.is_over) == (None, False, False)


def test_the_metrics_show_the_parts() -> None:
    parts = build(Settings())
    connect_metrics(parts)
    parts.cache.entries.put("a", b"{}")
    parts.cache.orders.hits = 3
    parts.cache.orders.count_misses(2)
    parts.cache.warm_up._result = WarmUpResult(5, 1.5)
    sample = parts.metrics.registry.get_sample_value
    assert (sample("orders_cache_entries"), sample("orders_cache_bytes")) == (1, parts.cache.entries.size)
    assert (sample("orders_warm_up_orders"), sample("orders_warm_up_seconds")) == (5, 1.5)
    assert (sample("orders_cache_hits_total"), sample("orders_cache_misses_total")) == (3, 2)
    assert sample("orders_dependency_up", {"dependency": "postgresql"}) == 0


def test_an_invalid_file_of_keys_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"^ORDERS_AUTH__KEYS_FILE: "):
        build(Settings(auth=AuthSettings(keys_file=tmp_path / "missing")))


def test_the_keys_that_the_api_accepts_are_reloaded(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"read {'a' * MIN_KEY_LENGTH}\n")
    parts = build(Settings(auth=AuthSettings(keys_file=path)))
    path.write_text("".join(f"read {key * MIN_KEY_LENGTH}\n" for key in "ab"))
    assert parts.key_reloader is not None
    assert parts.key_reloader.check()
    assert parts.keys is not None
    assert len(parts.keys) == 2
