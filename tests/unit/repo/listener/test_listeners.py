"""The listeners of several servers. tests/integration/test_listener.py runs them."""

import structlog

from service.repo.conninfo import Conninfo
from service.repo.listener.callbacks import MergedCallbacks
from service.repo.listener.listeners import Listeners
from service.repo.scope import Identity


class NoReads:
    async def identity(self) -> Identity:
        raise NotImplementedError

    async def replace_connections(self) -> None:
        raise NotImplementedError


def ignore(*_: object) -> None:
    """Do nothing."""


def test_a_listener_is_named_by_its_address_without_the_password() -> None:
    dsns = [f"postgresql://me:secret@node-{number}:5432/orders" for number in range(2)]
    callbacks = MergedCallbacks(
        on_listen=ignore,
        on_lsn=ignore,
        on_verified=ignore,
        on_notify=ignore,
        on_repeated_timeouts=ignore,
        on_disconnect=ignore,
    )
    log = structlog.get_logger()
    listeners = Listeners([*map(Conninfo, dsns)], NoReads(), callbacks, log, heartbeat=1)
    assert [member.server for member in listeners.members] == ["node-0:5432", "node-1:5432"]
    assert not listeners.is_verified
