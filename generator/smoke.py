"""`orders smoke`: produces one order to Kafka and reads it back from the API. The order remains stored."""

import argparse
import json
from functools import partial
from http import HTTPStatus
from http.client import HTTPException
from secrets import randbits
from ssl import SSLCertVerificationError, SSLError
from time import monotonic
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from generator.expected import order_digest
from generator.produce import RateLimiter, Tally, open_producer, produce
from generator.stream import Message, Plan, stream
from service.config import KafkaSettings, Settings
from service.errors import CommandError, InvalidKeysFile, TryAgain
from service.handler.http.keys import KeyScope, key_with
from service.handler.kafka.client.diagnostics import require_kafka
from service.pkg.exit_codes import ExitCode
from service.pkg.network import os_error_phrase
from service.pkg.output import echo
from service.pkg.polling import Poller, poll
from service.pkg.shutdown_event import ShutdownEvent

DEADLINE_SECONDS: Final = 60.0
RESPONSE_TIMEOUT_SECONDS: Final = 5.0
CONNECT_TIMEOUT_SECONDS: Final = 3.0
"""How long to wait for the first response of the API before the command fails."""
RETRY_INTERVAL_SECONDS: Final = 0.5
MAX_RESPONSE_BYTES: Final = 2**20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url", type=_base_url, required=True, help="base URL of the API, such as http://127.0.0.1:8000"
    )


def run(args: argparse.Namespace, settings: Settings, stop: ShutdownEvent) -> int:
    """Produce a new order and read it back; return the exit code. Raises CommandError, DeadlineExceeded."""
    stop.set_at_signals()
    poller = Poller(DEADLINE_SECONDS, echo, stop)
    key = _key(settings)
    require_kafka(settings.kafka)
    _require_api(args.url, stop)
    message = next(stream(Plan(count=1, seed=randbits(63), until=None)))
    started_at = monotonic()
    _send(message, settings.kafka, stop)
    echo(f"produced order {message.key.decode()} to topic {settings.kafka.topic}")
    poller.until(partial(_read_back, args.url, key, message), "the API's response")
    echo(f"read the same order from {args.url} after {monotonic() - started_at:.2f} s")
    return ExitCode.DONE


def _send(message: Message, kafka: KafkaSettings, stop: ShutdownEvent) -> None:
    client = {**kafka.properties, "message.timeout.ms": round(DEADLINE_SECONDS * 1_000)}
    producer = open_producer(kafka.bootstrap_servers, kafka.topic, client, compress=False)
    tally = produce([message], producer, kafka.topic, limiter=RateLimiter(0), stop=stop, on_progress=_ignore)
    if not tally.complete:
        raise CommandError(f"Kafka did not acknowledge the order ({', '.join(tally.failed) or 'timed out'})")


def _ignore(_: Tally) -> None: ...


def _key(settings: Settings) -> str:
    """Return an API key from the file of keys; empty if no file is set."""
    try:
        return key_with(settings.auth.keys_file, KeyScope.READ) if settings.auth.keys_file else ""
    except InvalidKeysFile as error:
        raise CommandError(f"ORDERS_AUTH__KEYS_FILE: {error}") from None


def _read_back(url: str, key: str, message: Message) -> None:
    """Verify that the API returns the order. Raises TryAgain if it does not yet, CommandError if it is another one."""
    request = Request(f"{url}/orders/{message.key.decode()}", headers={"X-API-Key": key})  # noqa: S310 - http only
    try:
        with urlopen(request, timeout=RESPONSE_TIMEOUT_SECONDS) as response:  # noqa: S310
            body = response.read(MAX_RESPONSE_BYTES)
    except HTTPError as error:
        raise TryAgain(_waiting_for(error.code)) from None
    except (HTTPException, OSError) as error:
        raise TryAgain(f"the API at {url}: {_cause(error)}") from None
    if not _is_same(body, message.value or b""):
        raise CommandError("the API returned a different document than the one produced")


def _require_api(url: str, stop: ShutdownEvent) -> None:
    """Block until there is an HTTP response. Raises CommandError, Stopped."""
    started_at = monotonic()
    problem = poll(
        lambda: _problem(url, CONNECT_TIMEOUT_SECONDS - (monotonic() - started_at)),
        lambda problem: problem is None,
        seconds=CONNECT_TIMEOUT_SECONDS - 2 * RETRY_INTERVAL_SECONDS,
        interval=RETRY_INTERVAL_SECONDS,
        sleep=stop.sleep,
    )
    if problem is not None:
        seconds = monotonic() - started_at
        raise CommandError(f"cannot reach the API at {url}: {problem} (after {seconds:.0f} s). Check --url.")


def _problem(url: str, seconds: float) -> str | None:
    try:
        urlopen(f"{url}/", timeout=seconds).close()  # noqa: S310 - http only
    except HTTPError:
        return None
    except (HTTPException, OSError) as error:
        return _cause(error)
    return None


def _cause(error: HTTPException | OSError) -> str:
    """Return the standard phrase for an error of urllib."""
    reason = error.reason if isinstance(error, URLError) else error
    match reason:
        case SSLCertVerificationError():
            return "TLS handshake failed: the server's certificate is not trusted"
        case SSLError():
            return "TLS handshake failed"
        case OSError():
            return os_error_phrase(reason)
    return "the response is not HTTP"


def _is_same(body: bytes, produced: bytes) -> bool:
    try:
        return order_digest(json.loads(body)) == order_digest(json.loads(produced))
    except (KeyError, TypeError, ValueError):
        return False  # not an order


def _waiting_for(status: int) -> str:
    return "the order to be stored" if status == HTTPStatus.NOT_FOUND else f"the API, which returns {status},"


def _base_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise argparse.ArgumentTypeError(f"{text!r} is not a URL such as http://127.0.0.1:8000")
    return text.rstrip("/")
