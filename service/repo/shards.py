"""The shard of an order: a stable hash of its uid, in every key, so that the tables can be distributed or partitioned.

The API's reads name the shards of their uids: a distributed planner then asks only the nodes that have them. A batch
has orders in nearly all shards, and must not name them: until the tables are analyzed, PostgreSQL would look for
the shards instead of the uids, and read the whole table.
"""

from typing import Final
from zlib import crc32

SHARDS: Final = 1_024


def shard_of(order_uid: str) -> int:
    """Return a number from 0 to SHARDS - 1. It must never change for a uid, because rows are stored with it."""
    return crc32(order_uid.encode()) % SHARDS
