"""Keeps erased orders from being stored again: the lock of writers and erasures, and the writers' check."""

from typing import Final

from service.repo.scope import SCHEMA

_LOCK_CLASS: Final = 0x6F726473
"""First key of the advisory lock: distinguishes it from the locks of other programs in the database."""
_LOCK_KEYS: Final = f"{_LOCK_CLASS}, 'erased'::regclass::oid::int"
"""The table's OID separates schemas, and is a constant to the planner: hashing the schema's name took 0.1 ms more."""
SHARE_ERASURE_LOCK: Final = f"SELECT pg_advisory_xact_lock_shared({_LOCK_KEYS})"
"""Taken by writers before they check which orders are erased."""
EXCLUSIVE_ERASURE_LOCK: Final = f"SELECT pg_advisory_xact_lock({_LOCK_KEYS})"
"""Taken by an erasure and by `orders prune`: waits for running batches, and blocks new ones."""

IS_CITUS: Final = "SELECT to_regclass('pg_dist_partition') IS NOT NULL"
"""Whether the database has the extension, so that other nodes may have writers."""
WAIT_FOR_ALL_NODES: Final = f"""\
SELECT nodeid FROM run_command_on_all_nodes(format(
  'SELECT pg_advisory_xact_lock({_LOCK_CLASS}, %L::regclass::oid::int)', {SCHEMA} || '.erased'
)) WHERE NOT success"""
"""Waits for the batches that run on any node of Citus, and returns the nodes for which that failed. An advisory lock is
local to its node, and so is an OID. Later batches may already run."""

HASH: Final = "sha256(convert_to(uid, 'UTF8'))"

ERASED_AMONG: Final = f"""\
SELECT uid FROM unnest(string_to_array(%(uids)s, ',')) uid
WHERE EXISTS (SELECT 1 FROM erased) AND {HASH} IN (SELECT order_uid_hash FROM erased)"""
"""The erased ones among these comma-separated uids. Hashes nothing while no order is erased. Uses the primary key."""
