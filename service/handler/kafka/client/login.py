"""Logs in to Kafka with a password from a file, or with a token from a function that the user provides."""

import logging
import pkgutil
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from structlog.typing import FilteringBoundLogger

from service.errors import KafkaRequestFailed, SecretUnavailable
from service.pkg.credentials import Token, fetch_token, read_password
from service.pkg.log_throttle import LOG_INTERVAL_SECONDS, LogThrottle
from service.pkg.shutdown_event import ShutdownEvent

if TYPE_CHECKING:
    from service.config import KafkaSettings

PASSWORD_FILE: Final = "ORDERS_KAFKA__PASSWORD_FILE"  # noqa: S105 - the name of a setting
TOKEN_CALLBACK: Final = "ORDERS_KAFKA__TOKEN_CALLBACK"  # noqa: S105 - the name of a setting
_FAILED: Final = "cannot log in to Kafka"
CHECK_INTERVAL_SECONDS: Final = 1.0


class SaslClient(Protocol):
    def set_sasl_credentials(self, username: str, password: str) -> None:
        """Use these for the next connections; keep the existing ones."""


_Client = TypeVar("_Client", bound=SaslClient)


def login_properties(kafka: "KafkaSettings") -> dict[str, Any]:
    """Return the properties with which a client that is created now logs in.

    May block while a function fetches a token. Raises KafkaRequestFailed.
    """
    try:
        if kafka.password_file:
            return {"sasl.password": read_password(kafka.password_file)}
    except SecretUnavailable as error:
        raise KafkaRequestFailed(f"{_FAILED}: {PASSWORD_FILE} {error}") from None
    if kafka.token_callback:
        config = kafka.properties.get("sasl.oauthbearer.config")
        return {"oauth_cb": token_refresh(pkgutil.resolve_name(kafka.token_callback), config)}
    return {}


def token_refresh(callback: Callable[[Any], Any], config: object) -> Callable[[Any], tuple[Any, ...]]:
    """Return librdkafka's callback, whose first call returns a token that is fetched now. Raises KafkaRequestFailed.

    If the callback fails while confluent-kafka 2.16 creates a client, it raises an error that Python cannot catch. At
    other times, librdkafka repeats the call after 10 s.
    """
    fetched = [_fetch(callback, config)]

    def refresh(config: object) -> tuple[Any, ...]:
        try:
            token = fetched.pop() if fetched else _fetch(callback, config)
        except KafkaRequestFailed as error:
            logging.getLogger("librdkafka").warning(str(error))
            raise
        return (token.text, token.expires_at, *token.details)

    return refresh


def _fetch(callback: Callable[[Any], Any], config: object) -> Token:
    try:
        token = fetch_token(callback, config)
    except SecretUnavailable as error:
        raise KafkaRequestFailed(f"{_FAILED}: {TOKEN_CALLBACK} {error}") from None
    match token.details:
        case () | (str(),) | (str(), dict()):
            return token
    raise KafkaRequestFailed(f"{_FAILED}: {TOKEN_CALLBACK} must return a token, its expiry, principal and extensions")


class PasswordWatch:
    """Passes a new password in the file on to running clients. Thread-safe. Does nothing if there is no file."""

    def __init__(self, kafka: "KafkaSettings", log: FilteringBoundLogger) -> None:
        self._username = str(kafka.properties.get("sasl.username", ""))
        self._file = kafka.password_file
        self._log = log
        self._throttle = LogThrottle(LOG_INTERVAL_SECONDS)
        self._clients: list[SaslClient] = []
        self._passed_on: str | None = None
        """The password that all clients have."""
        self._lock = Lock()

    def add(self, client: _Client) -> _Client:
        """Return the client, which must live as long as the process."""
        with self._lock:
            self._clients.append(client)
            self._passed_on = None  # the file may have changed since the client's properties were read
        return client

    def run(self, stop: ShutdownEvent) -> None:
        """Check the file until shutdown."""
        while self._file and not stop.wait(CHECK_INTERVAL_SECONDS):
            self.check()

    def check(self) -> None:
        """Read the file, and pass its password on if it has changed."""
        if self._file is None:
            return
        try:
            password = read_password(self._file)
        except SecretUnavailable as error:
            if self._throttle.is_due(str(error)):
                self._log.warning("cannot read Kafka's password", setting=PASSWORD_FILE, problem=str(error))
            return
        with self._lock:
            if password != self._passed_on:
                self._pass_on(password)

    def _pass_on(self, password: str) -> None:
        for client in self._clients:
            client.set_sasl_credentials(self._username, password)
        if self._passed_on is not None:
            self._log.info("Kafka's password reloaded", clients=len(self._clients))
        self._passed_on = password
