"""`/orders/{order_uid}`: one order."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import Path, Request, Response

from service.entities.order import MAX_UID_LENGTH, UID_CHARACTER
from service.handler.http.openapi.document import IF_NONE_MATCH, Responses, errors, not_modified, ok, request_headers
from service.handler.http.openapi.examples import ORDER
from service.handler.http.openapi.router import Router
from service.handler.http.responses.if_none_match import conditional_response
from service.handler.http.responses.problem_types import ProblemType
from service.handler.http.responses.problems import Problem
from service.usecases.lookup import Lookup, LookupResult

ORDER_PATH: Final = "/orders/{order_uid}"

OrderUidInPath = Annotated[
    str, Path(min_length=1, max_length=MAX_UID_LENGTH, pattern=f"^{UID_CHARACTER}+$", examples=[ORDER.order_uid])
]

RESPONSES: Final[Responses] = {
    **ok("The order as it was sent, with `date_created` in UTC.", ORDER, "ETag", "X-Cache"),
    **not_modified("ETag", "X-Cache"),
    **errors(HTTPStatus.NOT_FOUND),
}


def router(lookup: Lookup) -> Router:
    routes = Router("orders")

    @routes.get(ORDER_PATH, responses=RESPONSES, summary="Get an order", openapi_extra=request_headers(IF_NONE_MATCH))
    async def get_order(order_uid: OrderUidInPath, request: Request) -> Response:
        order = await lookup.find(order_uid)
        if order is None:
            raise Problem(ProblemType.ORDER_NOT_FOUND, "no order with this order_uid")
        return order_response(order, request.headers.getlist("if-none-match"))

    return routes


def order_response(order: LookupResult, if_none_match: Sequence[str]) -> Response:
    """Return 200 with the document, or 304 if one of the If-None-Match headers' values has its ETag."""
    headers = {"x-cache": "hit" if order.is_hit else "miss"}
    return conditional_response(order.body, order.tag, if_none_match, headers)
