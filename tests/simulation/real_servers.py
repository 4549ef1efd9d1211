"""Guarantees that the simulation cannot show, and why."""

from collections.abc import Mapping
from typing import Final

from tests.faults.mutations import formats

_SQL: Final = "the SQL of the store is not simulated"
_STATES: Final = "the SQLSTATEs of PostgreSQL are not simulated"
_CLIENT: Final = "librdkafka's configuration is not simulated"
_HTTP: Final = "HTTP is not simulated"
_SIMULATED_FORMATS: Final = frozenset({"a dead letter has the bytes of its message"})

ONLY_ON_REAL_SERVERS: Final[Mapping[str, str]] = {
    "the number of connections is limited": _HTTP,
    "the size of a request's headers is limited": _HTTP,
    "memory held for slow clients is limited": _HTTP,
    "an event stream that its client does not read is dropped": _HTTP,
    **{
        each.guarantee: "formats and schema registries are not simulated"
        for each in formats.MUTATIONS
        if each.guarantee not in _SIMULATED_FORMATS
    },
    "a redelivered order is recognized as stored": _SQL,
    "the later timestamp wins across topics": "one topic is simulated",
    "`version.compare_by: offset` compares offsets within a partition": _SQL,
    "an erased order is not stored again": _SQL,
    "an erasure waits for batches in progress": _SQL,
    "a suspended process releases its locks": _SQL,
    "a session that stopped within a COPY is terminated by writers that wait for locks": _SQL,
    "every write to PostgreSQL has a deadline": _SQL,
    "a connection is closed after a failure of PostgreSQL": _SQL,
    "a full disk or a starting server is not the order's fault": _STATES,
    "a deadlock is not the order's fault": _STATES,
    "a dead member's partitions are reassigned after six seconds": _CLIENT,
    "the group protocol `consumer` gets no properties of the classic protocol": _CLIENT,
    "a half-open connection to Kafka is closed": _CLIENT,
    "an order that causes an internal error of PostgreSQL is named": "no internal errors are simulated",
    "a rejected batch is split into large parts": "without this, it only takes longer",
    "a batch has a maximum of bytes": "simulated batches have too few bytes",
    "a batch that times out is split in half": "simulated timeouts do not depend on the size of a batch",
    "on SIGTERM the running transaction is finished and committed": "the mutation ends the process",
}
