"""The SQL that assembles the order document.

Every reader (cache miss, warm-up, the writer's comparison) uses it, so the document's bytes and its ETag are always the
same.
"""

from typing import Final

from service.repo.columns import DELIVERIES, ITEMS, PAYMENTS, TableColumns


def _fields(table: TableColumns, alias: str) -> str:
    return ", ".join(f"{alias}.{column}" for column in table.columns)


def _rfc3339(column: str) -> str:
    """Return an expression that formats a timestamp in UTC, with a fraction only if it is not zero."""
    return f"""rtrim(rtrim(to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), '0'), '.') || 'Z'"""


DATE_CREATED: Final = _rfc3339("o.date_created")
STORED_AT: Final = _rfc3339("o.stored_at")
"""When this version of the order was stored."""

_DELIVERY: Final = f"SELECT row_to_json(x) FROM (SELECT {_fields(DELIVERIES, 'd')}) x"
_PAYMENT: Final = f"SELECT row_to_json(x) FROM (SELECT {_fields(PAYMENTS, 'p')}) x"
_ITEMS: Final = f"""\
SELECT ('[' || string_agg(row_to_json(x)::text, ',' ORDER BY i.position) || ']')::json
FROM items i CROSS JOIN LATERAL (SELECT {_fields(ITEMS, "i")}) x
WHERE i.order_uid = o.order_uid"""

_WITH_NULLS: Final = f"""\
SELECT row_to_json(x) FROM (SELECT
    o.order_uid, o.track_number, o.entry,
    ({_DELIVERY}) AS delivery,
    ({_PAYMENT}) AS payment,
    ({_ITEMS}) AS items,
    o.locale, o.internal_signature, o.customer_id, o.delivery_service, o.shardkey, o.sm_id,
    {DATE_CREATED} AS date_created, o.oof_shard) x"""

DOCUMENT: Final = f"""\
CASE WHEN o.internal_signature IS NULL OR p.request_id IS NULL
THEN json_strip_nulls(({_WITH_NULLS}))::text ELSE ({_WITH_NULLS})::text END"""
"""Compact JSON text of the order `o` with its delivery `d` and payment `p`; absent fields stay absent."""

FROM_ORDERS: Final = "FROM orders o JOIN deliveries d USING (order_uid) JOIN payments p USING (order_uid)"
