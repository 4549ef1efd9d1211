"""`/events`: stored orders, as Server-Sent Events."""

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.handler.http.event_broadcaster import EventBroadcaster, EventStream
from service.handler.http.openapi import Responses, error_responses, json_response

EVENT_SCHEMA: Final = {
    "type": "object",
    "required": ["id", "event", "data"],
    "properties": {
        "id": {"type": "string", "description": "Send it as `Last-Event-ID` to continue after this event."},
        "event": {"enum": ["stored", "replaced", "reset"]},
        "data": {
            "type": "string",
            "description": "JSON. `stored` and `replaced`: `order_uid`, and `at`, the API's time. `reset`: `at` and, "
            "if known, `since`; events between the two may be missing.",
        },
    },
}
DESCRIPTION: Final = (
    "The stream has no end; close the connection to stop it. `Last-Event-ID`, which browsers send on reconnect, "
    "continues after that event. If the event is no longer buffered, the stream begins with a `reset`."
)
RESPONSES: Final[Responses] = {
    **json_response(
        "`stored` and `replaced` events as orders are stored; `reset` where events may be missing.",
        EVENT_SCHEMA,
        EventStream.media_type,
    ),
    **error_responses(),
}


def router(broadcaster: EventBroadcaster) -> APIRouter:
    routes = APIRouter(tags=["orders"])

    @routes.get(
        "/events",
        responses=RESPONSES,
        response_class=Response,
        summary="Follow orders as they are stored",
        description=DESCRIPTION,
    )
    async def follow_events(request: Request) -> Response:
        return broadcaster.open(request.headers.get("last-event-id"))

    return routes
