"""A broker that loses the newest messages of a partition, as after a power failure without other replicas."""

import struct
from itertools import islice
from pathlib import Path
from typing import Final

from local.broker import Broker

_BATCH: Final = struct.Struct(">qi")
"""The start of a record batch: its first offset, and the length of what follows."""
_DERIVED: Final = ("*.index", "*.timeindex", "*.txnindex", "*.snapshot")
"""Files that the broker rebuilds from the log when it starts after a crash."""


def lose_batches(broker: Broker, folder: Path, topic: str, *, kept: int) -> None:
    """Restart the broker, whose folder this is, with only the first `kept` batches of the topic's partition 0."""
    broker.stop()
    (data,) = folder.glob("kafka-*/data")
    partition = data / f"{topic}-0"
    (log,) = partition.glob("*.log")
    with log.open("r+b") as file:
        file.truncate(sum(islice(_batch_sizes(log.read_bytes()), kept)))
    for derived in (path for pattern in _DERIVED for path in partition.glob(pattern)):
        derived.unlink()
    (data / ".kafka_cleanshutdown").unlink()
    broker.start()


def _batch_sizes(log: bytes) -> list[int]:
    sizes, at = [], 0
    while at < len(log):
        sizes.append(_BATCH.size + _BATCH.unpack_from(log, at)[1])
        at += sizes[-1]
    return sizes
