"""The registry's client: answers, problems and logins, with a server that answers as the test says."""

import base64
import gc
import json
import re
import ssl
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import UUID

import pytest

from service.config import RegistrySettings
from service.errors import RegistryUnavailable
from service.handler.kafka.registry.client import MAX_REFERENCES, RegistryClient
from service.handler.kafka.registry.reader import RegisteredSchema, SchemaFile
from tests.kit.tls import Authority, Certificate

GUID = UUID(int=7)
SECRET = "geheim"  # noqa: S105 - a test's


class Server(ThreadingHTTPServer):
    """Answers by path; every other request with 404."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, tuple[int, Any]] = {}
        self.registered: tuple[int, Any] = (404, {})
        self.authorizations: list[str | None] = []
        self.connections: list[int] = []
        """The client's port of each request."""
        self.clients: list[RegistryClient] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.connections.append(self.client_address[1])
        self.server.authorizations.append(self.headers["authorization"])
        status, body = self.server.answers.get(self.path.partition("?")[0], (404, {"error_code": 404}))
        self._answer(status, body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        token = 200, {"access_token": "t0ken", "expires_in": 60, "token_type": "Bearer"}
        self._answer(*(token if self.path == "/token" else self.server.registered))

    def _answer(self, status: int, body: Any) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as serving:
        Thread(target=serving.serve_forever, args=(0.01,), daemon=True).start()
        yield serving
        for each in serving.clients:
            each.close()
        serving.shutdown()


def client(server: Server, **settings: Any) -> RegistryClient:
    server.clients.append(
        RegistryClient(RegistrySettings(urls=settings.pop("urls", server.url), timeout=30, **settings))
    )
    return server.clients[-1]


def problem(registry: RegistryClient) -> str:
    with pytest.raises(RegistryUnavailable) as caught:
        registry.fetch(1)
    assert SECRET not in str(caught.value)
    return str(caught.value)


def test_a_schema_without_a_type_is_avro(server: Server) -> None:
    server.answers["/schemas/ids/1"] = 200, {"schema": "{}"}
    schema = client(server).fetch(1)
    assert schema is not None
    assert (schema.schema_type, schema.text, schema.references) == ("AVRO", "{}", ())


def test_a_schema_is_found_by_its_guid(server: Server) -> None:
    server.answers[f"/schemas/guids/{GUID}"] = 200, {"schema": "{}", "schemaType": "JSON", "guid": str(GUID)}
    schema = client(server).fetch(GUID)
    assert schema is not None
    assert schema.schema_type == "JSON"


def test_references_come_before_the_schemas_that_refer_to_them(server: Server) -> None:
    register(server, "a", "A", "b")
    register(server, "b", "B")
    assert fetch_with_references(server, "a", "b").references == (SchemaFile("b", "B"), SchemaFile("a", "A"))


def test_references_in_a_circle_end(server: Server) -> None:
    register(server, "a", "A", "b")
    register(server, "b", "B", "a")
    assert fetch_with_references(server, "a").references == (SchemaFile("b", "B"), SchemaFile("a", "A"))


@pytest.mark.parametrize("status", [HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY])
def test_a_missing_reference_makes_a_schema_unusable(server: Server, status: HTTPStatus) -> None:
    register(server, "a", "A", "missing")
    server.answers["/subjects/missing/versions/1"] = status, {"error_code": 40401, "message": "Subject not found"}
    schema = fetch_with_references(server, "a")
    assert (schema.problem, schema.references) == ("refers to missing, which the registry does not know", ())


def test_a_registry_that_fails_to_return_a_reference_is_an_outage(server: Server) -> None:
    server.answers["/schemas/ids/1"] = 200, referring("order", "a")
    server.answers["/subjects/a/versions/1"] = 500, {}
    assert problem(client(server)).endswith("status 500")


@pytest.mark.parametrize("is_chain", [True, False])
def test_a_schema_with_too_many_references_is_unusable(server: Server, *, is_chain: bool) -> None:
    names = [f"s{number}" for number in range(MAX_REFERENCES + 1)]
    for name, following in pairwise([*names, "s0"]):
        register(server, name, name, *([following] if is_chain else []))
    limit = f"refers to more than {MAX_REFERENCES} schemas"
    assert fetch_with_references(server, *names[: 1 if is_chain else None]).problem == limit


def test_an_incompatible_schema_of_the_subject_is_named(server: Server) -> None:
    server.registered = 409, {"error_code": 409, "message": "Schema being registered is incompatible"}
    with pytest.raises(RegistryUnavailable, match=re.escape("not compatible (status 409): use another topic")):
        client(server).register("orders-value", "AVRO", "{}")


def referring(text: str, *names: str) -> dict[str, Any]:
    return {"schema": text, "references": [{"name": each, "subject": each, "version": 1} for each in names]}


def register(server: Server, name: str, text: str, *names: str) -> None:
    answer = referring(text, *names) | {"id": 2, "version": 1, "subject": name}
    server.answers[f"/subjects/{name}/versions/1"] = 200, answer


def fetch_with_references(server: Server, *names: str) -> RegisteredSchema:
    server.answers["/schemas/ids/1"] = 200, referring("order", *names)
    found = client(server).fetch(1)
    assert found is not None
    return found


def test_an_id_that_the_registry_does_not_know_is_no_outage(server: Server) -> None:
    server.answers["/schemas/ids/1"] = 404, {"error_code": 40403, "message": "Schema not found"}
    assert client(server).fetch(1) is None


@pytest.mark.parametrize("status", [HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY])
def test_a_registry_that_rejects_an_id_is_asked_whether_it_is_one(server: Server, status: HTTPStatus) -> None:
    server.answers["/schemas/ids/1"] = status, {"error_code": 0, "message": "id out of range"}
    assert "no schema registry at this address" in problem(client(server))
    server.answers["/schemas/types"] = 200, ["AVRO"]
    assert client(server).fetch(1) is None


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, {}, "authentication failed (status 401): check ORDERS_REGISTRY__USERNAME"),
        (403, {}, "authentication failed (status 403): check ORDERS_REGISTRY__USERNAME"),
        (500, {}, "status 500"),
        (429, {}, "status 429"),
        (503, b"<html>", "status 503"),
        (200, b"<html>", "request failed (JSONDecodeError)"),
    ],
)
def test_other_answers_are_an_outage(server: Server, status: int, body: Any, expected: str) -> None:
    server.answers["/schemas/ids/1"] = status, body
    assert f"cannot use the schema registry at {server.url}: {expected}" in problem(client(server))


def test_a_password_file_is_read_for_each_call(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "password"
    registry = client(server, username="orders", password_file=file)
    server.answers["/schemas/types"] = 200, []
    assert "ORDERS_REGISTRY__PASSWORD_FILE cannot be read" in problem(registry)
    for password in ("first", "second"):
        file.write_text(password)
        registry.schema_types()
        registry.fetch(1)
    logins = [base64.b64decode((each or "").removeprefix("Basic ")).decode() for each in server.authorizations]
    assert [*dict.fromkeys(logins)] == ["orders:first", "orders:second"]
    assert len(logins) > 4


def test_a_connection_is_kept_until_a_call_fails(server: Server) -> None:
    """Each malformed message may have another unknown id."""
    server.answers["/schemas/types"] = 200, []
    registry = client(server)
    for key in range(3):
        assert registry.fetch(key) is None
    assert len(server.connections) >= 3
    assert len(set(server.connections)) == 1
    server.answers["/schemas/ids/1"] = 500, {}
    assert problem(registry).endswith("status 500")
    assert registry.fetch(2) is None
    assert len(set(server.connections)) == 2


def test_a_schema_is_fetched_again_when_it_is_needed_again(server: Server) -> None:
    """The caller caches schemas, with a limit."""
    registry = client(server)
    for text in ("a", "b"):
        server.answers["/schemas/ids/1"] = 200, {"schema": text}
        found = registry.fetch(1)
        assert found is not None
        assert found.text == text


def test_oauth_uses_the_token_of_its_endpoint(server: Server) -> None:
    server.answers["/schemas/types"] = 200, ["AVRO"]
    oauth = {"token_url": f"{server.url}/token", "client_id": "orders", "client_secret": SECRET}
    assert client(server, **oauth).schema_types() == ["AVRO"]
    assert server.authorizations == ["Bearer t0ken"]
    gc.collect()  # warns of a connection that is left open


def test_an_unreachable_token_endpoint_is_named(server: Server) -> None:
    oauth = {"token_url": "http://127.0.0.1:1/token", "client_id": "orders", "client_secret": SECRET}
    assert problem(client(server, **oauth)).endswith("no token from http://127.0.0.1:1/token: connection refused")


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, Certificate, Certificate]:
    """An authority, the server's certificate, and a client's."""
    authority = Authority(tmp_path_factory.mktemp("authority"))
    return authority, authority.sign("registry"), authority.sign("orders")


@pytest.fixture
def secured(server: Server, certified: tuple[Authority, Certificate, Certificate]) -> str:
    """URL of the server, which then requires a client certificate."""
    authority, certificate, _ = certified
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    context.load_verify_locations(authority.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.answers["/schemas/types"] = 200, ["AVRO"]
    return f"https://localhost:{server.server_address[1]}"


def test_a_client_certificate_is_presented(
    server: Server, secured: str, certified: tuple[Authority, Certificate, Certificate]
) -> None:
    authority, _, own = certified
    files = {"ca_file": authority.certificate, "certificate_file": own.certificate, "key_file": own.key}
    assert client(server, urls=secured, **files).schema_types() == ["AVRO"]


def test_a_certificate_of_an_unknown_authority_is_refused(server: Server, secured: str) -> None:
    assert "TLS handshake failed: " in problem(client(server, urls=secured))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"urls": "localhost:8081"}, "not a web address"),
        ({"urls": "http://a,"}, r"not a web address \(entry 2 of 2\)"),
        ({"urls": f"http://user:{SECRET}@a"}, "entry 1 of 1 contains a login"),
        ({"username": "a"}, "either password or password_file"),
        ({"username": "a", "password": SECRET, "password_file": "b"}, "either password or password_file"),
        ({"username": "a", "password": SECRET, "token_url": "http://a"}, "either username or token_url"),
        ({"token_url": "http://a", "client_id": "a"}, "either client_secret or client_secret_file"),
        ({"key_file": "a"}, "key_file requires certificate_file"),
    ],
)
def test_settings_that_contradict_each_other_are_rejected(settings: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        RegistrySettings(**settings)
