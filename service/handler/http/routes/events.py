"""`/events`: stored orders, as Server-Sent Events."""

from typing import Annotated, Final, Literal

from fastapi import Request
from msgspec import Meta, Struct
from starlette.responses import Response

from service.handler.http.events.event_broadcaster import EventBroadcaster, EventStream
from service.handler.http.openapi.document import LAST_EVENT_ID, ok, request_headers
from service.handler.http.openapi.router import Router


class Event(Struct, frozen=True, kw_only=True):
    """A Server-Sent Event."""

    id: Annotated[str, Meta(description="Send it as `Last-Event-ID` to continue after this event.")]
    event: Literal["stored", "replaced", "reset"]
    data: Annotated[
        str,
        Meta(
            description="JSON. `stored` and `replaced`: `order_uid`, and `at`, the API's time. `reset`: `at` and, "
            "if known, `since`; events between the two may be missing."
        ),
    ]


_EXAMPLE: Final = Event(
    id="5f0c2d1a-1", event="stored", data='{"order_uid":"b563feb7b2b84b6test","at":"2021-11-26T06:22:20Z"}'
)
DESCRIPTION: Final = (
    "The stream has no end; close the connection to stop it. `Last-Event-ID`, which browsers send on reconnect, "
    "continues after that event. If the event is no longer buffered, the stream begins with a `reset`."
)
RESPONSES: Final = ok(
    "`stored` and `replaced` events as orders are stored; `reset` where events may be missing.",
    _EXAMPLE,
    media_type=EventStream.media_type,
)


def router(broadcaster: EventBroadcaster) -> Router:
    routes = Router("orders")

    @routes.get(
        "/events",
        responses=RESPONSES,
        summary="Follow orders as they are stored",
        description=DESCRIPTION,
        openapi_extra=request_headers(LAST_EVENT_ID),
    )
    async def follow_events(request: Request) -> Response:
        if request.method == "HEAD":
            return Response(headers=EventStream.HEADERS, media_type=EventStream.media_type)
        return broadcaster.open(request.headers.get("last-event-id"))

    return routes
