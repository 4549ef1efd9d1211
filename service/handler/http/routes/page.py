"""The page at `/`, and `/docs`: files of ours and of the package that carries Swagger UI, none from elsewhere."""

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

HTML: Final = "text/html; charset=utf-8"
CSS: Final = "text/css; charset=utf-8"
SCRIPT: Final = "text/javascript; charset=utf-8"

_OURS: Final = "service.handler.http.static"
_SWAGGER_UI: Final = "fastapi_swagger.resources"

FILES: Final = {
    "/docs": (_OURS, "docs.html", HTML),
    "/static/docs.js": (_OURS, "docs.js", SCRIPT),
    "/static/swagger-ui.css": (_SWAGGER_UI, "swagger-ui.css", CSS),
    "/static/swagger-ui-bundle.js": (_SWAGGER_UI, "swagger-ui-bundle.js", SCRIPT),
}


def built() -> Path:
    """Return the folder that `make web` fills."""
    return Path(str(resources.files(_OURS))) / "page"


def routes(page: Path) -> list[BaseRoute]:
    """Return the routes of all files; those of the page are in the folder `page`, if it was built."""
    files = [_route(path, resources.files(package) / name, kind) for path, (package, name, kind) in FILES.items()]
    if not page.is_dir():
        return [_route("/", resources.files(_OURS) / "unbuilt.html", HTML), *files]
    assets = GZipMiddleware(_Assets(directory=page / "assets"))
    return [_route("/", page / "index.html", HTML), Mount("/assets", assets), *files]


def _route(path: str, source: Traversable, media_type: str) -> Route:
    held: list[bytes] = []

    async def file(_request: Request) -> Response:
        if not held:
            held.append(source.read_bytes())
        return Response(held[0], headers={"cache-control": "no-cache"}, media_type=media_type)

    return Route(path, file, methods=["GET"], include_in_schema=False)


class _Assets(StaticFiles):
    """Files whose names hold a hash of their content."""

    def file_response(self, *arguments: object, **named: object) -> Response:
        response = super().file_response(*arguments, **named)  # type: ignore[arg-type]
        response.headers["cache-control"] = "public, max-age=31536000, immutable"
        return response
