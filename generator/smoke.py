"""`orders smoke`: one order through the whole path, from Kafka to the API's answer. It stays stored."""

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
from generator.produce import Pace, Tally, TopicUnavailable, open_producer, produce
from generator.stream import Message, Plan, stream
from service.config import Kafka, Settings
from service.entities.errors import CommandRefused, InvalidKeysFile
from service.handler.http.keys import Scope, key_with
from service.handler.kafka.client import properties
from service.handler.kafka.client.connection_errors import require_kafka
from service.pkg.network import cause
from service.pkg.polling import DeadlineExceeded, Poller, TryAgain, echo
from service.pkg.shutdown_event import ShutdownEvent, stop_at_signals

DEADLINE_SECONDS: Final = 60.0
ANSWER_SECONDS: Final = 5.0
CONNECT_SECONDS: Final = 3.0
"""How long the API may take to answer anything before the command says what is wrong."""
RETRY_SECONDS: Final = 0.5
LARGEST_ANSWER_BYTES: Final = 2**20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", type=_base_url, required=True, help="the API, such as http://127.0.0.1:8000")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Produce a new order and read it back; return the exit code. Raises CommandRefused."""
    stop = stop_at_signals()
    poller = Poller(DEADLINE_SECONDS, echo, stop)
    key = _key(settings)
    require_kafka(properties.common(settings.kafka))
    _require_api(args.url, stop)
    message = next(stream(Plan(count=1, seed=randbits(63), until=None)))
    began = monotonic()
    try:
        _send(message, settings.kafka, stop)
        echo(f"produced order {message.key.decode()} to topic {settings.kafka.topic}")
        poller.until(partial(_read_back, args.url, key, message), "the API's answer")
    except (DeadlineExceeded, TopicUnavailable) as problem:
        raise CommandRefused(str(problem)) from None
    echo(f"read it back from {args.url} after {monotonic() - began:.2f} s, as it was produced")
    return 0


def _send(message: Message, kafka: Kafka, stop: ShutdownEvent) -> None:
    patient = {**kafka.properties, "message.timeout.ms": round(DEADLINE_SECONDS * 1_000)}
    producer = open_producer(kafka.bootstrap_servers, kafka.topic, patient, compress=False)
    tally = produce([message], producer, kafka.topic, pace=Pace(0), stop=stop, watch=_ignore)
    if not tally.complete:
        raise CommandRefused(f"Kafka did not take the order ({', '.join(tally.failed) or 'no answer'})")


def _ignore(_: Tally) -> None: ...


def _key(settings: Settings) -> str:
    """Return what the API may want to see, where this process knows the file of its keys."""
    try:
        return key_with(settings.auth.keys_file, Scope.READ) if settings.auth.keys_file else ""
    except InvalidKeysFile as error:
        raise CommandRefused(f"ORDERS_AUTH__KEYS_FILE: {error}") from None


def _read_back(url: str, key: str, message: Message) -> None:
    """Return once the API answers with the order. Raises TryAgain before that, CommandRefused where it never will."""
    request = Request(f"{url}/orders/{message.key.decode()}", headers={"X-API-Key": key})  # noqa: S310 - http only
    try:
        with urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310
            body = answer.read(LARGEST_ANSWER_BYTES)
    except HTTPError as error:
        raise TryAgain(_waiting_for(error.code)) from None
    except (HTTPException, OSError) as error:
        raise TryAgain(f"the API at {url}: {_cause(error)}") from None
    if not _is_same(body, message.value or b""):
        raise CommandRefused("the API answers with another document than was produced")


def _require_api(url: str, stop: ShutdownEvent) -> None:
    """Return once something answers there in HTTP. Raises CommandRefused."""
    began = monotonic()
    while problem := _problem(url, CONNECT_SECONDS - (monotonic() - began)):
        seconds = monotonic() - began
        if stop.wait(RETRY_SECONDS) or seconds + 2 * RETRY_SECONDS > CONNECT_SECONDS:
            raise CommandRefused(f"cannot reach the API at {url}: {problem} (after {seconds:.0f} s). Check --url.")


def _problem(url: str, seconds: float) -> str | None:
    try:
        urlopen(f"{url}/", timeout=seconds).close()  # noqa: S310 - http only
    except HTTPError:
        return None
    except (HTTPException, OSError) as error:
        return _cause(error)
    return None


def _cause(error: HTTPException | OSError) -> str:
    """Return the standard phrase for what urllib raises."""
    reason = error.reason if isinstance(error, URLError) else error
    match reason:
        case SSLCertVerificationError():
            return "TLS handshake failed: the server's certificate is not trusted"
        case SSLError():
            return "TLS handshake failed"
        case OSError():
            return cause(reason)
    return "the server does not speak HTTP"


def _is_same(answer: bytes, produced: bytes) -> bool:
    try:
        return order_digest(json.loads(answer)) == order_digest(json.loads(produced))
    except (KeyError, TypeError, ValueError):
        return False  # no order at all


def _waiting_for(status: int) -> str:
    return "the order to be stored" if status == HTTPStatus.NOT_FOUND else f"the API, which answers {status},"


def _base_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise argparse.ArgumentTypeError(f"{text} is no address such as http://127.0.0.1:8000")
    return text.rstrip("/")
