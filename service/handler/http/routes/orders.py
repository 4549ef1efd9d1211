"""`/orders/{order_uid}`: one order. `/orders`: summaries, newest first."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request, Response

from service.entities.order import MAX_UID_LENGTH, UID_CHARACTER
from service.handler.http.etag import matches
from service.handler.http.openapi import Responses, describe_headers, error_responses, json_response
from service.handler.http.problems import Problem
from service.usecases.lookup import Lookup, LookupResult
from service.usecases.ports import OrderReader, PageCursor, PageQuery

MAX_PAGE_SIZE: Final = 200
ORDER_PATH: Final = "/orders/{order_uid}"
_CURSOR: Final = re.compile(r"(-?[0-9]{1,18})\.(.+)")
_CACHE_CONTROL: Final = {"cache-control": "private, no-cache"}

OrderUidInPath = Annotated[
    str, Path(min_length=1, max_length=MAX_UID_LENGTH, pattern=f"^{UID_CHARACTER}+$", examples=["b563feb7b2b84b6test"])
]
OrdersLimit = Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE, description="Maximum number of orders in the page.")]
OrdersCursor = Annotated[
    str | None,
    Query(
        pattern=rf"^-?[0-9]{{1,18}}\.{UID_CHARACTER}{{1,{MAX_UID_LENGTH}}}$",
        description="`next_cursor` of the previous page (opaque).",
    ),
]
FilterText = Annotated[str | None, Query(min_length=1, max_length=255, pattern="^[^\\u0000]*$")]

ORDER_RESPONSES: Final[Responses] = {
    200: {
        "description": "The order as it was sent, with `date_created` in UTC.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}},
        "headers": describe_headers(
            ETag="Strong entity tag: changes when the document does.",
            X_Cache="`hit`: served from memory; `miss`: read from the database.",
        ),
    },
    304: {"description": "Not modified: an ETag in If-None-Match matches."},
    **error_responses(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY),
}
HEAD_RESPONSES: Final[Responses] = {
    status: {name: value for name, value in response.items() if name != "content"}
    for status, response in ORDER_RESPONSES.items()
}
SUMMARY: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "order_uid": {"type": "string"},
        "track_number": {"type": "string"},
        "date_created": {"type": "string", "format": "date-time"},
        "stored_at": {
            "type": "string",
            "format": "date-time",
            "description": "When this version of the order was stored.",
        },
        "delivery_service": {"type": "string"},
        "amount": {"type": "integer"},
        "currency": {"type": "string"},
        "items": {"type": "integer", "description": "Number of items."},
    },
}
SUMMARY["required"] = list(SUMMARY["properties"])
LIST_RESPONSES: Final[Responses] = {
    **json_response(
        "A page of order summaries, without personal data.",
        {
            "type": "object",
            "required": ["orders", "next_cursor"],
            "properties": {
                "orders": {"type": "array", "items": SUMMARY},
                "next_cursor": {"type": ["string", "null"], "description": "Null on the last page."},
            },
        },
    ),
    **error_responses(HTTPStatus.UNPROCESSABLE_ENTITY),
}


def router(lookup: Lookup, reader: OrderReader) -> APIRouter:
    routes = APIRouter(tags=["orders"])

    @routes.get(ORDER_PATH, responses=ORDER_RESPONSES, response_class=Response, summary="Get an order")
    async def get_order(order_uid: OrderUidInPath, request: Request) -> Response:
        return await _get(lookup, order_uid, request)

    @routes.head(ORDER_PATH, responses=HEAD_RESPONSES, response_class=Response, summary="Get the headers of an order")
    async def head_order(order_uid: OrderUidInPath, request: Request) -> Response:
        return await _get(lookup, order_uid, request)

    @routes.get("/orders", responses=LIST_RESPONSES, response_class=Response, summary="List orders, newest first")
    async def list_orders(
        limit: OrdersLimit = 20,
        cursor: OrdersCursor = None,
        customer_id: FilterText = None,
        track_number: FilterText = None,
    ) -> Response:
        query = PageQuery(limit, _parse_cursor(cursor), customer_id=customer_id, track_number=track_number)
        return await _list(reader, query)

    return routes


async def _get(lookup: Lookup, order_uid: str, request: Request) -> Response:
    order = await lookup.find(order_uid)
    if order is None:
        raise Problem(HTTPStatus.NOT_FOUND, "no order with this order_uid")
    return order_response(order, request.headers.getlist("if-none-match"))


def order_response(order: LookupResult, if_none_match: Sequence[str]) -> Response:
    """Return 200 with the document, or 304 if one of the If-None-Match headers' values has its ETag."""
    headers = {**_CACHE_CONTROL, "etag": f'"{order.tag}"', "x-cache": "hit" if order.is_hit else "miss"}
    if matches(order.tag, if_none_match):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(order.body, headers=headers, media_type="application/json")


async def _list(reader: OrderReader, query: PageQuery) -> Response:
    page = await reader.page(query)
    next_cursor = f'"{page.next.created_us}.{page.next.order_uid}"' if page.next else "null"
    body = b'{"orders":[%s],"next_cursor":%s}' % (b",".join(page.summaries), next_cursor.encode())
    return Response(body, headers=_CACHE_CONTROL, media_type="application/json")


def _parse_cursor(cursor: str | None) -> PageCursor | None:
    match = _CURSOR.fullmatch(cursor) if cursor else None
    return PageCursor(int(match[1]), match[2]) if match else None
