"""`orders smoke`: produces one order to Kafka and reads it back from the API. The order remains stored."""

import argparse
import json
from functools import partial
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from secrets import randbits
from ssl import SSLCertVerificationError, SSLError
from time import monotonic
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from generator.consumed_topic import require_consumed_topic
from generator.expected import order_digest
from generator.produce import RateLimiter, Tally, open_producer, produce
from generator.stream import Message, Plan, stream
from service.config import KafkaSettings, Settings
from service.errors import CommandFailed, InvalidKeysFile, TryAgain
from service.handler.http.security.keys import KeyScope, key_with
from service.handler.kafka.client.diagnostics import require_kafka
from service.handler.kafka.client.properties import given
from service.pkg.exit_codes import ExitCode
from service.pkg.network import COMMAND_CONNECT_TIMEOUT_SECONDS, os_error_phrase
from service.pkg.polling import Poller, poll
from service.pkg.report import Report, add_json_option, reporting
from service.pkg.shutdown_event import ShutdownEvent

DEADLINE_SECONDS: Final = 60.0
HTTP_TIMEOUT_SECONDS: Final = 5.0
RETRY_INTERVAL_SECONDS: Final = 0.5
MAX_RESPONSE_BYTES: Final = 2**20
INVALID_ORDER_UID: Final = "~"
"""The API checks the key, rejects this, and reads nothing."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url", type=_base_url, required=True, help="base URL of the API, such as http://127.0.0.1:8000"
    )
    parser.add_argument(
        "--key-file", type=Path, metavar="FILE",
        help="file with only an API key, such as /dev/stdin (default: a key from ORDERS_AUTH__KEYS_FILE, if set)",
    )  # fmt: skip
    add_json_option(parser)


def run(args: argparse.Namespace, settings: Settings, stop: ShutdownEvent) -> int:
    """Produce a new order and read it back; return the exit code. Raises CommandFailed, Stopped."""
    stop.set_at_signals()
    with reporting(args) as report:
        _run(args, settings, report, stop)
    return ExitCode.DONE


def _run(args: argparse.Namespace, settings: Settings, report: Report, stop: ShutdownEvent) -> None:
    poller = Poller(DEADLINE_SECONDS, report.line, stop)
    key = _key_from(args.key_file) if args.key_file else _configured_key(settings)
    topic = require_consumed_topic(settings.kafka)
    require_kafka(settings.kafka)
    _require_api(args.url, key, stop)
    message = next(stream(Plan(count=1, seed=randbits(63), until=None)))
    started_at = monotonic()
    _send(message, settings.kafka, stop)
    uid = message.key.decode()
    report.add(order_uid=uid, topic=topic, url=args.url, is_read_back=False)
    report.line(f"produced order {uid} to topic {topic}")
    poller.until(partial(_read_back, args.url, key, message), "the API's response")
    seconds = monotonic() - started_at
    report.add(is_read_back=True, seconds=round(seconds, 3))
    report.line(f"read the same order from {args.url} after {seconds:.2f} s")


def _send(message: Message, kafka: KafkaSettings, stop: ShutdownEvent) -> None:
    client = {**given(kafka), "message.timeout.ms": round(DEADLINE_SECONDS * 1_000)}
    producer = open_producer(kafka.bootstrap_servers, kafka.topic, client, compress=False)
    tally = produce([message], producer, kafka.topic, limiter=RateLimiter(0), stop=stop, on_progress=_ignore)
    if not tally.complete:
        raise CommandFailed(f"Kafka did not acknowledge the order ({', '.join(tally.failed) or 'timed out'})")


def _ignore(_: Tally) -> None: ...


def _key_from(path: Path) -> str:
    """Return the only word in the file. Raises CommandFailed."""
    try:
        key = path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise CommandFailed(f"--key-file: cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        key = ""
    if len(key.split()) != 1 or not key.isprintable():
        raise CommandFailed(f"--key-file: {path} must contain only an API key")
    return key


def _configured_key(settings: Settings) -> str:
    """Return an API key from the file of keys; empty if no file is set."""
    try:
        return key_with(settings.auth.keys_file, KeyScope.READ) if settings.auth.keys_file else ""
    except InvalidKeysFile as error:
        raise CommandFailed(f"ORDERS_AUTH__KEYS_FILE: {error}") from None


def _read_back(url: str, key: str, message: Message) -> None:
    """Verify that the API returns the order. Raises TryAgain if it does not yet, CommandFailed if it is another one."""
    try:
        with urlopen(_request(url, message.key.decode(), key), timeout=HTTP_TIMEOUT_SECONDS) as response:  # noqa: S310
            body = response.read(MAX_RESPONSE_BYTES)
    except HTTPError as error:
        _require_accepted(error.code, url, key)
        raise TryAgain(_waiting_for(error.code)) from None
    except (HTTPException, OSError) as error:
        raise TryAgain(f"the API at {url}: {_cause(error)}") from None
    if not _is_same(body, message.value or b""):
        raise CommandFailed("the API returned a different document than the one produced")


def _request(url: str, uid: str, key: str) -> Request:
    return Request(f"{url}/orders/{uid}", headers={"X-API-Key": key} if key else {})  # noqa: S310 - http only


def _require_accepted(status: int, url: str, key: str) -> None:
    """Raise CommandFailed if the API rejects the key, which no retry changes."""
    if status == HTTPStatus.UNAUTHORIZED:
        problem = "rejects the API key" if key else "requires an API key"
        raise CommandFailed(f"the API at {url} {problem} (401 Unauthorized). Set --key-file or ORDERS_AUTH__KEYS_FILE.")
    if status == HTTPStatus.FORBIDDEN:
        raise CommandFailed(f"the API at {url} denies access (403 Forbidden). The key needs the scope {KeyScope.READ}.")


def _require_api(url: str, key: str, stop: ShutdownEvent) -> None:
    """Block until there is an HTTP response. Raises CommandFailed, also if the key is rejected; Stopped."""
    started_at = monotonic()
    problem = poll(
        lambda: _problem(url, key, COMMAND_CONNECT_TIMEOUT_SECONDS - (monotonic() - started_at)),
        lambda problem: problem is None,
        seconds=COMMAND_CONNECT_TIMEOUT_SECONDS - 2 * RETRY_INTERVAL_SECONDS,
        interval=RETRY_INTERVAL_SECONDS,
        sleep=stop.sleep,
    )
    if problem is not None:
        seconds = monotonic() - started_at
        raise CommandFailed(f"cannot reach the API at {url}: {problem} (after {seconds:.0f} s). Check --url.")


def _problem(url: str, key: str, seconds: float) -> str | None:
    """Return why there is no HTTP response. Raises CommandFailed if the key is rejected."""
    try:
        urlopen(_request(url, INVALID_ORDER_UID, key), timeout=seconds).close()  # noqa: S310 - http only
    except HTTPError as error:
        _require_accepted(error.code, url, key)
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
