"""The page at `/`, and `/docs`: files of ours and of the package that carries Swagger UI, none from elsewhere."""

from importlib import resources
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

HTML: Final = "text/html; charset=utf-8"
CSS: Final = "text/css; charset=utf-8"
SCRIPT: Final = "text/javascript; charset=utf-8"

_OURS: Final = "service.handler.http.static"
_SWAGGER_UI: Final = "fastapi_swagger.resources"

FILES: Final = {
    "/": (_OURS, "page.html", HTML),
    "/static/page.css": (_OURS, "page.css", CSS),
    "/static/page.js": (_OURS, "page.js", SCRIPT),
    "/docs": (_OURS, "docs.html", HTML),
    "/static/docs.js": (_OURS, "docs.js", SCRIPT),
    "/static/swagger-ui.css": (_SWAGGER_UI, "swagger-ui.css", CSS),
    "/static/swagger-ui-bundle.js": (_SWAGGER_UI, "swagger-ui-bundle.js", SCRIPT),
}


def routes() -> list[Route]:
    """Return a route for each file; it is read when it is first asked for."""
    return [_route(path, *file) for path, file in FILES.items()]


def _route(path: str, package: str, name: str, media_type: str) -> Route:
    held: list[bytes] = []

    async def file(_request: Request) -> Response:
        if not held:
            held.append(resources.files(package).joinpath(name).read_bytes())
        return Response(held[0], headers={"cache-control": "no-cache"}, media_type=media_type)

    return Route(path, file, methods=["GET"], include_in_schema=False)
