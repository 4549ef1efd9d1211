"""Guarantees that the simulation cannot show, because code of the real clients or servers keeps them."""

from collections.abc import Mapping
from typing import Final

_SQL: Final = "the SQL of the store"
_CLIENT: Final = "librdkafka's configuration"

ONLY_ON_REAL_SERVERS: Final[Mapping[str, str]] = {
    "a redelivered order is recognized as stored": _SQL,
    "`version.compare_by: offset` compares offsets within a partition": _SQL,
    "an erased order is not stored again": _SQL,
    "an erasure waits for batches in progress": _SQL,
    "a suspended process releases its locks": _SQL,
    "a session that stopped within a COPY is terminated by writers that wait for locks": _SQL,
    "every write to PostgreSQL has a deadline": _SQL,
    "a connection is closed after a failure of PostgreSQL": _SQL,
    "a full disk or a starting server is not the order's fault": "the SQLSTATEs of PostgreSQL",
    "a deadlock is not the order's fault": "the SQLSTATEs of PostgreSQL",
    "a dead member's partitions are reassigned after six seconds": _CLIENT,
    "the group protocol `consumer` gets no properties of the classic protocol": _CLIENT,
    "a half-open connection to Kafka is closed": _CLIENT,
    "an order that causes an internal error of PostgreSQL is named": "no internal errors are simulated",
    "a rejected batch is split into large parts": "without this, it only takes longer",
    "a batch that times out is split in half": "simulated timeouts do not last",
    "a replayed order keeps its original version": "no replays are simulated",
    "a fatal client error ends the process": "no static members are simulated",
    "on SIGTERM the running transaction is finished and committed": "the mutation ends the process",
}
