"""`/orders`: one by its id, and lists of them, newest first."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request, Response

from service.entities.order import MAX_UID, UID_CHARACTER
from service.handler.http.etag import matches
from service.handler.http.openapi import Responses, answer, headers, refusals
from service.handler.http.problems import Problem
from service.usecases.lookup import CachedOrder, Lookup
from service.usecases.ports import Cursor, OrderReader, PageQuery

MAX_PAGE: Final = 200
_CURSOR: Final = re.compile(r"(-?[0-9]{1,18})\.(.+)")
_PRIVATE: Final = {"cache-control": "private, no-cache"}

OrderUid = Annotated[
    str, Path(min_length=1, max_length=MAX_UID, pattern=f"^{UID_CHARACTER}+$", examples=["b563feb7b2b84b6test"])
]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="Orders of one page.")]
PageCursor = Annotated[
    str | None,
    Query(
        pattern=rf"^-?[0-9]{{1,18}}\.{UID_CHARACTER}{{1,{MAX_UID}}}$",
        description="`next_cursor` of the page before; opaque.",
    ),
]
Text = Annotated[str | None, Query(min_length=1, max_length=255, pattern="^[^\\u0000]*$")]

ONE: Final[Responses] = {
    200: {
        "description": "The order as it was sent; `date_created` in UTC.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}},
        "headers": headers(
            ETag="Strong; changes with the document.", X_Cache="`hit` from memory, `miss` from the database."
        ),
    },
    304: {"description": "The client holds it: an ETag of If-None-Match matches."},
    **refusals(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY),
}
ONE_WITHOUT_BODY: Final[Responses] = {
    status: {name: told for name, told in described.items() if name != "content"} for status, described in ONE.items()
}
SUMMARY: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "order_uid": {"type": "string"},
        "track_number": {"type": "string"},
        "date_created": {"type": "string", "format": "date-time"},
        "stored_at": {"type": "string", "format": "date-time", "description": "When this version was stored."},
        "delivery_service": {"type": "string"},
        "amount": {"type": "integer"},
        "currency": {"type": "string"},
        "items": {"type": "integer", "description": "How many."},
    },
}
SUMMARY["required"] = list(SUMMARY["properties"])
LIST: Final[Responses] = {
    **answer(
        "A page of summaries, without personal data.",
        {
            "type": "object",
            "required": ["orders", "next_cursor"],
            "properties": {
                "orders": {"type": "array", "items": SUMMARY},
                "next_cursor": {"type": ["string", "null"], "description": "Null on the last page."},
            },
        },
    ),
    **refusals(HTTPStatus.UNPROCESSABLE_ENTITY),
}


def router(lookup: Lookup, reader: OrderReader) -> APIRouter:
    routes = APIRouter(tags=["orders"])

    @routes.get("/orders/{order_uid}", responses=ONE, response_class=Response, summary="One order")
    async def get_order(order_uid: OrderUid, request: Request) -> Response:
        return await _order(lookup, order_uid, request)

    @routes.head(
        "/orders/{order_uid}",
        responses=ONE_WITHOUT_BODY,
        response_class=Response,
        summary="One order, headers alone",
    )
    async def head_order(order_uid: OrderUid, request: Request) -> Response:
        return await _order(lookup, order_uid, request)

    @routes.get("/orders", responses=LIST, response_class=Response, summary="Orders, newest first")
    async def list_orders(
        limit: Limit = 20, cursor: PageCursor = None, customer_id: Text = None, track_number: Text = None
    ) -> Response:
        query = PageQuery(limit, _parsed(cursor), customer_id, track_number)
        return await _page(reader, query)

    return routes


async def _order(lookup: Lookup, uid: str, request: Request) -> Response:
    found = await lookup.find(uid)
    if found is None:
        raise Problem(HTTPStatus.NOT_FOUND, "there is no order with this id")
    return answered(found, request.headers.getlist("if-none-match"))


def answered(found: CachedOrder, if_none_match: Sequence[str]) -> Response:
    """Return the answer to who asks for the order, and holds what the values of If-None-Match say."""
    told = {**_PRIVATE, "etag": f'"{found.tag}"', "x-cache": "hit" if found.is_hit else "miss"}
    if matches(found.tag, if_none_match):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=told)
    return Response(found.body, headers=told, media_type="application/json")


async def _page(reader: OrderReader, query: PageQuery) -> Response:
    page = await reader.page(query)
    following = f'"{page.next.created_us}.{page.next.order_uid}"' if page.next else "null"
    body = b'{"orders":[%s],"next_cursor":%s}' % (b",".join(page.summaries), following.encode())
    return Response(body, headers=_PRIVATE, media_type="application/json")


def _parsed(cursor: str | None) -> Cursor | None:
    match = _CURSOR.fullmatch(cursor) if cursor else None
    return Cursor(int(match[1]), match[2]) if match else None
