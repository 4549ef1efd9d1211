"""The read benchmarks of `orders bench` report all their figures; the values are not tested."""

import shutil
from http import HTTPStatus
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from bench import reads, warm_up
from bench.context import Context
from bench.figures import Sample
from bench.fixtures import FixtureFiles, write_files
from bench.http_servers import HttpServer, baseline
from generator.stream import Plan, stream
from local.ports import HOST, free_port
from tests.kit.servers import Postgres

pytestmark = pytest.mark.integration

HAS_GO = shutil.which("go") is not None
HAS_NGINX = shutil.which("nginx") is not None or Path("/usr/sbin/nginx").exists()
SCALE = 0.001


@pytest.fixture
def context(postgres_server: Postgres, tmp_path: Path) -> Context:
    """A context without Kafka, which the read benchmarks do not use."""
    return Context(f"{HOST}:{free_port()}", postgres_server.dsn, tmp_path, rounds=1, scale=SCALE, echo=print)


def units(samples: list[Sample]) -> dict[str, str]:
    return {sample.name: sample.unit for sample in samples}


def test_reads_are_measured_with_every_available_baseline(context: Context) -> None:
    samples = [*reads.measure(context)]
    cached = ["orders", "fastapi", "asgi", *["go"] * HAS_GO, *["nginx"] * HAS_NGINX]
    rates = {f"get.cached.{name}": "requests/cpu-s" for name in cached}
    times = {f"get.cached.{name}.{share}": "ms" for name in cached for share in ("p50", "p99")}
    uncached = {f"get.uncached.{name}": "requests/s" for name in ("orders", "bare")}
    costs = {f"get.uncached.{name}.cpu": "us/request" for name in ("orders", "bare")}
    assert units(samples) == rates | times | uncached | costs
    assert len(samples) == len(units(samples))
    assert [sample for sample in samples if sample.value <= 0] == []


def test_the_warm_up_and_its_memory_are_measured(context: Context) -> None:
    samples = [*warm_up.measure(context)]
    assert units(samples) == {
        "warm_up.copy": "orders/s",
        "warm_up.orders": "orders/s",
        "memory.entry": "bytes",
        "memory.document": "bytes",
    }
    assert len(samples) == len(units(samples))
    assert [sample for sample in samples if sample.value <= 0] == []


@pytest.fixture
def files(tmp_path: Path) -> FixtureFiles:
    folder = tmp_path / "files"
    folder.mkdir()
    return write_files(folder, {message.key.decode(): message.value or b"" for message in stream(Plan(count=3))})


def get(server: HttpServer, uid: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    request = Request(f"http://{HOST}:{server.port}/orders/{uid}", headers=headers)
    try:
        with urlopen(request) as response:  # noqa: S310 - a local server
            return response.status, dict(response.headers), response.read()
    except HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


@pytest.mark.parametrize(
    "name",
    [
        "asgi",
        pytest.param("go", marks=pytest.mark.skipif(not HAS_GO, reason="go is not installed")),
        pytest.param("nginx", marks=pytest.mark.skipif(not HAS_NGINX, reason="nginx is not installed")),
    ],
)
def test_a_baseline_serves_the_same_bytes_as_orders_with_date_and_etag(
    name: str, context: Context, files: FixtureFiles
) -> None:
    with baseline(name, context, files) as server:
        for uid, document in files.documents.items():
            status, headers, body = get(server, uid)
            fields = {header.lower(): value for header, value in headers.items()}
            assert (status, body) == (HTTPStatus.OK, document)
            assert (fields["x-cache"], fields["content-type"]) == ("hit", "application/json")
            assert fields.keys() >= {"etag", "date", "content-length", "cache-control"}
        assert get(server, "unknown")[0] == HTTPStatus.NOT_FOUND


@pytest.mark.skipif(not HAS_GO, reason="go is not installed")
def test_the_go_baseline_supports_if_none_match(context: Context, files: FixtureFiles) -> None:
    uid = next(iter(files.documents))
    with baseline("go", context, files) as server:
        tag = get(server, uid)[1]["Etag"]
        assert get(server, uid, **{"If-None-Match": tag})[::2] == (HTTPStatus.NOT_MODIFIED, b"")
        assert get(server, uid, **{"If-None-Match": '"another"'})[0] == HTTPStatus.OK
