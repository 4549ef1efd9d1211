"""The statements of the API's reads, and their values."""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final, LiteralString

from service.pkg.timestamps import from_microseconds
from service.repo.connection import DISABLED_SETTINGS
from service.repo.document import (
    BY_ORDER_UID,
    CREATED_US,
    DATE_CREATED,
    DOCUMENT,
    FROM_ORDERS,
    JOIN_PAYMENTS,
    STORED_AT,
    columns,
    json_object,
    microseconds,
    milliseconds,
)
from service.repo.scope import CHANNEL, DATABASE
from service.repo.shards import shard_of
from service.usecases.ports.reads import PageQuery

MAX_EXACT_COUNT: Final = 10_000
"""Orders up to which the estimate is an exact count."""

REPLAY_LSN: Final = "SELECT CASE WHEN pg_is_in_recovery() THEN (pg_last_wal_replay_lsn() - '0/0')::bigint END"
"""A snapshot taken after this statement sees every commit up to this LSN. NULL on a primary."""

DOCUMENTS_OF: Final = f"SELECT o.order_uid::text, {DOCUMENT} {FROM_ORDERS} {BY_ORDER_UID}"
"""The documents of some orders. Uses the unique key of `order_uid` and the primary keys of the child tables."""

_NEWEST_FIRST: Final = "ORDER BY o.date_created DESC, o.order_uid DESC"

IDENTITY: Final = f"SELECT {CHANNEL}, {DATABASE}, pg_is_in_recovery(), current_setting('server_encoding')"
"""The fields of Identity, and the encoding of the database."""

SET_SESSION: Final = "; ".join(f"SET {name} = off" for name in DISABLED_SETTINGS)
"""Settings of a session. A pooler would pass it on to other clients: behind one, the role must have it (roles.sql)."""

MIN_UIDS: Final = 16
"""Shorter lists of uids are padded. For fewer uids, PostgreSQL would estimate that a custom plan costs less than a
generic one, and plan each read again, which takes four times as long as the read."""

SUMMARY: Final = json_object(
    [
        *columns("o", "order_uid", "track_number"),
        ("date_created", DATE_CREATED),
        ("stored_at", STORED_AT),
        *columns("o", "delivery_service"),
        *columns("p", "amount", "currency"),
        ("items", "(SELECT count(*) FROM items i WHERE i.order_id = o.id AND i.shard = o.shard)"),
    ]
)
"""The summary of an order in lists, without personal data."""

SUMMARIES_OF: Final = f"SELECT o.order_uid::text, {SUMMARY} FROM orders o {JOIN_PAYMENTS} {BY_ORDER_UID}"
"""The summaries of some orders. Uses the unique key of `order_uid` and the primary keys of the child tables."""

_BY_KEY: Final = "WHERE o.order_uid = %(order_uid)s AND o.shard = %(shard)s"


def _version(alias: str) -> str:
    return f"""\
{alias}.source_topic::text, {alias}.source_partition, {alias}.source_offset,
{milliseconds(f"{alias}.source_timestamp")}, {microseconds(f"{alias}.stored_at")}"""


HISTORY: Final = f"""\
SELECT NULL::integer AS number, {_version("o")}, NULL::bigint, NULL::text[] FROM orders o {_BY_KEY}
UNION ALL SELECT v.number, {_version("v")}, {microseconds("v.replaced_at")}, v.changed_fields
FROM orders o JOIN order_versions v ON v.order_id = o.id AND v.shard = o.shard {_BY_KEY}
ORDER BY number DESC"""
"""The stored version of an order, without a number, and its replaced ones, newest first. Uses the unique key of
`order_uid` and the primary key of the versions."""

ERASED_AT: Final = "SELECT erased_at FROM erased WHERE order_uid_hash = %(hash)s"
"""Uses the primary key."""

FILTERS: Final[dict[str, LiteralString]] = {
    "customer_id": "o.customer_id = %(customer_id)s",
    "track_number": "o.track_number = %(track_number)s",
    "created_from": "o.date_created >= %(created_from)s",
    "created_to": "o.date_created < %(created_to)s",
    "after": "(o.date_created, o.order_uid) < (%(created)s, %(order_uid)s)",
}
"""Conditions by field of PageQuery."""

ESTIMATE: Final = f"""\
SELECT CASE WHEN sample.counted < {MAX_EXACT_COUNT} THEN sample.counted
            ELSE greatest(sample.counted, estimated.counted) END,
       sample.counted >= {MAX_EXACT_COUNT} AS is_estimate
FROM (SELECT count(*) AS counted FROM (SELECT 1 FROM orders LIMIT {MAX_EXACT_COUNT}) o) sample,
     (SELECT sum(CASE WHEN reltuples > 0 AND relpages > 0
                      THEN reltuples / relpages * (pg_relation_size(oid) / current_setting('block_size')::int)
                      ELSE pg_stat_get_live_tuples(oid) END)::bigint AS counted
        FROM pg_class
       WHERE relkind = 'r'
         AND (oid = 'orders'::regclass OR oid IN (SELECT relid FROM pg_partition_tree('orders')))) estimated"""
"""The number of stored orders: exact below MAX_EXACT_COUNT. Above, estimated like the planner does: rows per page at
the last ANALYZE, times the current number of pages; before the first ANALYZE, the live rows of the statistics.
Partitions are summed. Needs no index in particular: any one serves the sample."""


def newest_statement(count: int) -> str:
    """Return the statement for the newest orders, newest first.

    It uses orders_newest_idx. The document is a subquery: PostgreSQL would join tables by hash, sort all documents on
    disk, and send nothing until it has assembled the last one. It is NULL if child rows are missing.
    """
    return f"""\
SELECT o.order_uid::text,
       (SELECT {DOCUMENT} FROM deliveries d {JOIN_PAYMENTS} WHERE d.order_id = o.id AND d.shard = o.shard)
FROM (SELECT * FROM orders o {_NEWEST_FIRST} LIMIT {int(count)}) o {_NEWEST_FIRST}"""


def with_lsn_statement(statement: str) -> str:
    """Return DOCUMENTS_OF or SUMMARIES_OF from a possible standby, in one round trip, with the same indexes.

    The transaction pins a pooler to one server.
    """
    return f"BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; {REPLAY_LSN}; {statement}; COMMIT"


def document_values(uids: Sequence[str]) -> dict[str, Any]:
    """Return the values of DOCUMENTS_OF and SUMMARIES_OF."""
    padded = [*uids, *list(uids[:1]) * (MIN_UIDS - len(uids))]
    return {"order_uids": padded, "shards": [shard_of(uid) for uid in padded]}


def history_values(uid: str) -> dict[str, Any]:
    """Return the values of HISTORY."""
    return {"order_uid": uid, "shard": shard_of(uid)}


def erased_at_values(uid: str) -> dict[str, Any]:
    """Return the values of ERASED_AT."""
    return {"hash": sha256(uid.encode()).digest()}


def page_statement(query: PageQuery) -> str:
    """Return the statement with the filters of the query. It reads one order more than the page has.

    It uses orders_customer_idx or orders_track_idx, according to the filter, or without one orders_newest_idx; of each,
    the part between the times. The limit is part of the text: for a parameter, PostgreSQL would estimate that a generic
    plan reads a tenth of the table, and plan each read again. A range of times alone is planned again, in 0.3 ms.
    """
    conditions = [condition for name, condition in FILTERS.items() if getattr(query, name) is not None]
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"""\
SELECT {SUMMARY}, {CREATED_US}, o.order_uid::text
FROM orders o {JOIN_PAYMENTS} {where}
{_NEWEST_FIRST} LIMIT {int(query.limit) + 1}"""


def page_values(query: PageQuery) -> dict[str, Any]:
    values: dict[str, Any] = query._asdict()
    if query.after:
        values |= {"created": _timestamp(query.after.created_us), "order_uid": query.after.order_uid}
    return values


def _timestamp(microseconds: int) -> datetime:
    """Return the time, limited to the range of datetime."""
    try:
        return from_microseconds(microseconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if microseconds > 0 else datetime.min.replace(tzinfo=UTC)
