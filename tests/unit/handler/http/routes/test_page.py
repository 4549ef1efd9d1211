"""The files of the page, with and without `make web`."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from service.handler.http.responses.problems import EXCEPTION_HANDLERS
from service.handler.http.routes import page

SCRIPT = b"// what a visitor gets\n" * 100


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "page"


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<title>built</title>")
    (folder / "assets" / "index-abc.js").write_bytes(SCRIPT)
    (folder / "secret.js").write_text("not an asset")
    with TestClient(Starlette(routes=page.routes(folder))) as client:
        yield client


def test_the_start_page_is_revalidated_and_assets_are_cached_forever(client: TestClient) -> None:
    start, asset = client.get("/"), client.get("/assets/index-abc.js")
    assert (start.text, start.headers["cache-control"]) == ("<title>built</title>", "no-cache")
    assert start.headers["content-type"] == "text/html; charset=utf-8"
    assert (asset.content, asset.headers["cache-control"]) == (SCRIPT, "public, max-age=31536000, immutable")
    assert asset.headers["content-type"] == "text/javascript; charset=utf-8"


@pytest.mark.parametrize("requested", ["bytes=0-1", "bytes=9999-", "bytes=x", "nonsense"])
def test_a_range_of_an_asset_is_ignored(client: TestClient, requested: str) -> None:
    response = client.get("/assets/index-abc.js", headers={"range": requested})
    assert (response.status_code, response.content, response.headers["accept-ranges"]) == (200, SCRIPT, "none")


@pytest.mark.usefixtures("client")
def test_the_allow_header_has_the_methods_of_an_asset(folder: Path) -> None:
    app = Starlette(routes=page.routes(folder), exception_handlers=dict(EXCEPTION_HANDLERS))
    response = TestClient(app).options("/assets/index-abc.js")
    assert (response.status_code, response.headers["allow"]) == (204, "GET, HEAD, OPTIONS")


@pytest.mark.parametrize("path", ["other.js", "../secret.js", "%2e%2e/secret.js", "..%2fsecret.js", "", "/etc/passwd"])
def test_other_paths_are_not_assets(client: TestClient, path: str) -> None:
    assert client.get(f"/assets/{path}").status_code == 404


def test_an_unbuilt_page_names_the_command_that_builds_it(folder: Path) -> None:
    with TestClient(Starlette(routes=page.routes(folder))) as client:
        assert "make web" in client.get("/").text
        assert client.get("/assets/index-abc.js").status_code == 404


def test_the_pages_have_no_external_references_and_no_inline_code() -> None:
    with TestClient(Starlette(routes=page.routes(page.page_folder()))) as client:
        for path in ("/", "/docs"):
            html = client.get(path).text
            assert 'rel="icon"' in html  # otherwise browsers request /favicon.ico
            assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", html)
            references = re.findall(r'(?:src|href)="([^"]+)"', html)
            for reference in references:
                assert reference.startswith("data:") or client.get(reference.removeprefix(".")).status_code == 200
