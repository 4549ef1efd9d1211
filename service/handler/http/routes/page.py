"""The page at `/`, and Swagger UI at `/docs`. All files are local: none comes from a CDN."""

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.staticfiles import StaticFiles

HTML: Final = "text/html; charset=utf-8"
CSS: Final = "text/css; charset=utf-8"
SCRIPT: Final = "text/javascript; charset=utf-8"

_STATIC: Final = "service.handler.http.static"
_SWAGGER_UI: Final = "fastapi_swagger.resources"

FILES: Final = {
    "/docs": (_STATIC, "docs.html", HTML),
    "/static/docs.js": (_STATIC, "docs.js", SCRIPT),
    "/static/swagger-ui.css": (_SWAGGER_UI, "swagger-ui.css", CSS),
    "/static/swagger-ui-bundle.js": (_SWAGGER_UI, "swagger-ui-bundle.js", SCRIPT),
}


def page_folder() -> Path:
    """Return the output folder of `make web`."""
    return Path(str(resources.files(_STATIC))) / "page"


def routes(page: Path) -> list[BaseRoute]:
    """Return the routes of all files. The folder `page` exists if the page was built."""
    files = [_route(path, resources.files(package) / name, kind) for path, (package, name, kind) in FILES.items()]
    if not page.is_dir():
        return [_route("/", resources.files(_STATIC) / "unbuilt.html", HTML), *files]
    return [_route("/", page / "index.html", HTML), _assets_route(page / "assets"), *files]


def _route(path: str, source: Traversable, media_type: str) -> Route:
    content: list[bytes] = []  # read at the first request

    async def file(_request: Request) -> Response:
        if not content:
            content.append(source.read_bytes())
        return Response(content[0], headers={"cache-control": "no-cache"}, media_type=media_type)

    return Route(path, file, methods=["GET"], include_in_schema=False)


def _assets_route(folder: Path) -> Route:
    """Return a route and not a Mount, which would hide its methods from the Allow header."""
    assets = _Assets(directory=folder)

    async def asset(request: Request) -> Response:
        # The files are small, and Starlette answers an invalid Range with plain text instead of a problem document.
        request.scope["headers"] = [header for header in request.scope["headers"] if header[0] != b"range"]
        return await assets.get_response(request.path_params["path"], request.scope)

    return Route("/assets/{path:path}", asset, methods=["GET"], include_in_schema=False)


class _Assets(StaticFiles):
    """Files with a content hash in their names, which clients may cache forever."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["cache-control"] = "public, max-age=31536000, immutable"
        response.headers["accept-ranges"] = "none"
        return response
