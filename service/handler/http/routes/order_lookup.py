"""`POST /orders/lookup`: several orders at once."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Final

import msgspec
from fastapi import Request, Response
from msgspec import Meta, Struct

from service.entities.order import Order, OrderUid
from service.errors import OrdersTooLarge
from service.handler.http.openapi.document import Responses, errors, ok, request_body
from service.handler.http.openapi.examples import ORDER
from service.handler.http.openapi.router import Router
from service.handler.http.requests.body import decode_json, read_json_body
from service.handler.http.responses.json_response import json_response
from service.handler.http.responses.problem_types import ProblemType
from service.handler.http.responses.problems import Problem
from service.usecases.bulk_lookup import BulkLookup

PATH: Final = "/orders/lookup"
MAX_ORDERS: Final = 200
MAX_BODY_BYTES: Final = 128 * 2**10
"""Larger than MAX_ORDERS of the longest ids, even with each character escaped."""
MAX_RESPONSE_BYTES: Final = 16 * 2**20
"""Size of all documents in a response. One document may have 1 MiB."""


class LookUpOrders(Struct, frozen=True, forbid_unknown_fields=True):
    order_uids: Annotated[
        list[OrderUid],
        Meta(min_length=1, max_length=MAX_ORDERS, description="A repeated id is returned once."),
    ]


class LookedUpOrders(Struct, frozen=True, kw_only=True):
    """Each order of the request is in one of the lists, in the order of the request."""

    orders: list[Order]
    missing: Annotated[list[OrderUid], Meta(description="Ids of orders that are not stored, or were erased.")]


_EXAMPLE: Final = LookedUpOrders(orders=[ORDER], missing=["unknown"])
REQUEST_BODY: Final = request_body(LookUpOrders([ORDER.order_uid, "unknown"]))
RESPONSES: Final[Responses] = {
    **ok("The orders as they were sent, with `date_created` in UTC.", _EXAMPLE),
    **errors(HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
}


def router(lookup: BulkLookup) -> Router:
    routes = Router("orders")

    @routes.post(PATH, responses=RESPONSES, summary="Get several orders", openapi_extra=REQUEST_BODY)
    async def look_up_orders(request: Request) -> Response:
        parsed = decode_json(await read_json_body(request, MAX_BODY_BYTES), LookUpOrders)
        uids = [*dict.fromkeys(parsed.order_uids)]
        try:
            return json_response(_body(uids, await lookup.find(uids, MAX_RESPONSE_BYTES)))
        except OrdersTooLarge:
            detail = f"the orders together are larger than {MAX_RESPONSE_BYTES} bytes"
            raise Problem(ProblemType.ORDERS_TOO_LARGE, detail) from None

    return routes


def _body(uids: Sequence[str], found: Mapping[str, bytes | memoryview]) -> bytes:
    missing = [uid for uid in uids if uid not in found]
    return b'{"orders":[%b],"missing":%b}' % (b",".join(found.values()), msgspec.json.encode(missing))
