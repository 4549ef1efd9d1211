"""The shard of an order: a stable hash of its id, in every key, so that the tables can be distributed or partitioned.

A statement that names ids names their shards too: a distributed planner then asks only the nodes that have them.
"""

from collections.abc import Iterable
from typing import Final
from zlib import crc32

SHARDS: Final = 1_024


def shard_of(order_uid: str) -> int:
    """Return a number from 0 to SHARDS - 1. It must never change for an id, because rows are stored with it."""
    return crc32(order_uid.encode()) % SHARDS


def shards_of(order_uids: Iterable[str]) -> list[int]:
    """Return the shards of these orders, each once."""
    return list(set(map(shard_of, order_uids)))
