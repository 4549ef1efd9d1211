"""What keeps an erased order from being stored again: the lock of writers and erasures, and the writers' check."""

from typing import Final

from service.repo.scope import lock_key

_LOCK_KEY: Final = lock_key("erasures")
"""Key of the advisory lock that writers and erasures take."""
SHARE_ERASURE_LOCK: Final = f"SELECT pg_advisory_xact_lock_shared({_LOCK_KEY})"
"""Taken by writers before they check which orders are erased."""
EXCLUSIVE_ERASURE_LOCK: Final = f"SELECT pg_advisory_xact_lock({_LOCK_KEY})"
"""Taken by an erasure and by `orders prune`: waits for running batches, and blocks new ones."""

IS_CITUS: Final = "SELECT to_regclass('pg_dist_partition') IS NOT NULL"
WAIT_FOR_ALL_NODES: Final = f"""\
SELECT nodeid FROM run_command_on_all_nodes(format('SELECT pg_advisory_xact_lock(%s)', {_LOCK_KEY}))
WHERE NOT success"""
"""Waits for the batches that run on any node of Citus, where an advisory lock is local to its node, and returns the
nodes for which that failed. Later batches may already run."""

HASH: Final = "sha256(convert_to(uid, 'UTF8'))"

ERASED_AMONG: Final = f"""\
SELECT uid FROM unnest(string_to_array(%(uids)s, ',')) uid
WHERE EXISTS (SELECT 1 FROM erased) AND {HASH} IN (SELECT order_uid_hash FROM erased)"""
"""The erased ones among these comma-separated uids. Hashes nothing while no order is erased. Uses the primary key."""
