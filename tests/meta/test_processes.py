from time import monotonic

import pytest

from tests.kit.processes import Spawn


def test_a_process_that_exits_before_it_is_ready_is_reported_at_once_with_its_log(spawn: Spawn) -> None:
    started = monotonic()
    with pytest.raises(AssertionError, match=r"(?s)exited with \d+ before it was ready.*\w"):
        spawn("no-such-command", settings={}).ready(within=60)
    assert monotonic() - started < 30


def test_each_process_has_ports_and_a_log_of_its_own(spawn: Spawn) -> None:
    first, second = spawn("no-such-command", settings={}), spawn("no-such-command", settings={})
    ports = {first.admin_port, first.http_port, second.admin_port, second.http_port}
    assert (len(ports), first.log != second.log) == (4, True)


def test_settings_of_the_shell_do_not_reach_a_process(spawn: Spawn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS_MODE", "api")
    service = spawn(settings={})
    assert service.process.wait(30) == 2
