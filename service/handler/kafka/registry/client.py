"""The client of a registry with Confluent's API. Importing it takes a third of a second."""

import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError
from confluent_kafka.schema_registry.error import OAuthTokenError

from service.errors import RegistryUnavailable, SecretUnavailable, UnusableSchema
from service.handler.kafka.registry.frame import SchemaKey
from service.handler.kafka.registry.reader import RegisteredSchema, SchemaFile
from service.pkg.credentials import read_password

if TYPE_CHECKING:
    from service.config.settings import RegistrySettings

MAX_REFERENCES: Final = 100
_MAX_NAME: Final = 200
"""Characters of a schema's name in the detail of a dead letter."""
_SERIALIZED: Final = "serialized"
"""Format of Protobuf schemas: a descriptor in Base64 instead of its source. Ignored for others."""
_UNKNOWN_SCHEMA: Final = 40403
_UNKNOWN: Final = {HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}
"""Statuses for a schema that does not exist, or whose id is out of range for the registry."""
_REFUSED: Final = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


class RegistryClient:
    """Keeps its connections for `fetch` until a call fails or a password file changes. For one thread at a time."""

    def __init__(self, settings: "RegistrySettings") -> None:
        self._settings = settings
        self._last: tuple[Mapping[str, Any], SchemaRegistryClient] | None = None
        """Properties of the last client. A new one takes 40 ms of CPU, for each unknown id of malformed messages."""

    def fetch(self, key: SchemaKey) -> RegisteredSchema | None:
        """Return a schema with those that it refers to; None if the registry does not know it.

        Blocks for the timeout, for each of them and each address. Raises RegistryUnavailable.
        """
        with self._translated(), self._reused(_properties(self._settings)) as client:
            return _fetch(client, key)

    def register(self, subject: str, schema_type: str, text: str) -> int:
        """Register a schema under a subject, unless it exists; return its id. Blocks. Raises RegistryUnavailable."""
        with self._translated(), _connected(_properties(self._settings)) as client:
            return client.register_schema(subject, Schema(text, schema_type))

    def schema_types(self) -> list[str]:
        """Return the schema types that the registry supports. Blocks. Raises RegistryUnavailable."""
        with self._translated(), _connected(_properties(self._settings)) as client:
            return client.get_schema_types()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SchemaRegistryError as error:
            raise self._unavailable(_status_problem(error.http_status_code)) from None
        except OAuthTokenError as error:
            problem = _phrase(error, self._settings.timeout)
            raise self._unavailable(f"no token from {self._settings.token_url}: {problem}") from None
        except SecretUnavailable as error:
            raise self._unavailable(str(error)) from None
        except Exception as error:  # noqa: BLE001 - of httpx, OAuth, TLS or an invalid response
            raise self._unavailable(_phrase(error, self._settings.timeout)) from None

    @contextmanager
    def _reused(self, properties: dict[str, Any]) -> Iterator[SchemaRegistryClient]:
        if self._last is None or self._last[0] != properties:
            self.close()
            self._last = properties, SchemaRegistryClient(properties)
        client = self._last[1]
        try:
            yield client
        except BaseException:
            self.close()
            raise
        finally:
            client.clear_caches()  # type: ignore[no-untyped-call]  # they have no limit

    def close(self) -> None:
        """Close the connections; the next `fetch` opens others."""
        if self._last is not None:
            _close(self._last[1])
            self._last = None

    def _unavailable(self, problem: str) -> RegistryUnavailable:
        return RegistryUnavailable(f"cannot use the schema registry at {self._settings.urls}: {problem}")


@contextmanager
def _connected(properties: dict[str, Any]) -> Iterator[SchemaRegistryClient]:
    client = SchemaRegistryClient(properties)
    try:
        yield client
    finally:
        _close(client)


def _close(client: SchemaRegistryClient) -> None:
    """Close all connections, also that to the token endpoint, which the client's own `close` leaves open."""
    client.close()
    if tokens := client._rest_client.bearer_field_provider:  # noqa: SLF001 - there is no other way
        tokens.client.close()


def _fetch(client: SchemaRegistryClient, key: SchemaKey) -> RegisteredSchema | None:
    try:
        schema = (
            client.get_schema(key, fmt=_SERIALIZED)
            if isinstance(key, int)
            else client.get_schema_by_guid(str(key), fmt=_SERIALIZED)
        )
    except SchemaRegistryError as error:
        if error.http_status_code not in _UNKNOWN:
            raise
        if error.error_code != _UNKNOWN_SCHEMA:
            client.get_schema_types()  # raises if the address is not that of a registry
        return None
    schema_type, text = schema.schema_type or "AVRO", schema.schema_str or ""
    references: dict[str, SchemaFile | None] = {}
    try:
        _add_references(client, schema, references)
    except UnusableSchema as error:
        return RegisteredSchema(schema_type, text, problem=str(error))
    return RegisteredSchema(schema_type, text, tuple(filter(None, references.values())))


def _add_references(client: SchemaRegistryClient, schema: Schema, found: dict[str, SchemaFile | None]) -> None:
    """Add the schemas that a schema refers to, each after those that it refers to itself. Raises UnusableSchema."""
    for reference in schema.references or ():
        name, subject, version = reference.name, reference.subject, reference.version
        if not name or not subject or not version or name in found:
            continue
        if len(found) >= MAX_REFERENCES:
            raise UnusableSchema(f"refers to more than {MAX_REFERENCES} schemas")
        found[name] = None  # counts, and ends a cycle
        referred = _fetch_reference(client, name, subject, version)
        _add_references(client, referred, found)
        del found[name]
        found[name] = SchemaFile(name, referred.schema_str or "")


def _fetch_reference(client: SchemaRegistryClient, name: str, subject: str, version: int) -> Schema:
    try:
        return client.get_version(subject, version, deleted=True, fmt=_SERIALIZED).schema
    except SchemaRegistryError as error:
        if error.http_status_code not in _UNKNOWN:
            raise
        raise UnusableSchema(f"refers to {name[:_MAX_NAME]}, which the registry does not know") from None


def _properties(settings: "RegistrySettings") -> dict[str, Any]:
    """Return the client's properties. Without its own retries: the caller's end with a shutdown.

    Raises SecretUnavailable.
    """
    files = {
        "ssl.ca.location": settings.ca_file,
        "ssl.certificate.location": settings.certificate_file,
        "ssl.key.location": settings.key_file,
    }
    return {
        "url": settings.urls,
        "timeout": settings.timeout,
        "max.retries": 0,
        **{name: str(path) for name, path in files.items() if path},
        **_login(settings),
    }


def _login(settings: "RegistrySettings") -> dict[str, Any]:
    if settings.username:
        password = _secret(settings.password, settings.password_file, "PASSWORD_FILE")
        return {"basic.auth.user.info": f"{settings.username}:{password}"}
    if settings.token_url:
        return {
            "bearer.auth.credentials.source": "OAUTHBEARER",
            "bearer.auth.issuer.endpoint.url": settings.token_url,
            "bearer.auth.client.id": settings.client_id,
            "bearer.auth.client.secret": _secret(
                settings.client_secret, settings.client_secret_file, "CLIENT_SECRET_FILE"
            ),
            "bearer.auth.scope": settings.scope,
            "bearer.auth.logical.cluster": settings.logical_cluster,
        }
    return {}


def _secret(text: str | None, file: Path | None, setting: str) -> str:
    try:
        return read_password(file) if file else text or ""
    except SecretUnavailable as error:
        raise SecretUnavailable(f"ORDERS_REGISTRY__{setting} {error}") from None


def _status_problem(status: int) -> str:
    if status in _REFUSED:
        return f"authentication failed (status {status}): check ORDERS_REGISTRY__USERNAME and the password"
    if status == HTTPStatus.NOT_FOUND:
        return "no schema registry at this address (status 404): check the path in ORDERS_REGISTRY__URLS"
    if status == HTTPStatus.CONFLICT:
        return (
            "the topic's subject has a schema that is not compatible (status 409): use another topic, or set the "
            "compatibility of the subject to NONE"
        )
    return f"status {status}"


def _phrase(error: BaseException, timeout: float) -> str:
    """Describe the cause in a fixed phrase: the text of an error may contain a secret."""
    known = next(filter(None, map(_known_phrase, _causes(error))), None)
    if known:
        return known
    if any("Timeout" in type(cause).__name__ for cause in _causes(error)):
        return f"timed out after {timeout:g} s"
    return f"request failed ({type(error).__name__})"


def _known_phrase(error: BaseException) -> str | None:
    match error:
        case ssl.SSLCertVerificationError():
            return f"TLS handshake failed: {error.verify_message}"
        case ssl.SSLError():
            return f"TLS handshake failed: {error.reason}"
        case socket.gaierror():
            return "host name does not resolve"
        case ConnectionRefusedError():
            return "connection refused"
        case FileNotFoundError() | PermissionError():
            return f"cannot read a certificate file: {error.strerror}"
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
