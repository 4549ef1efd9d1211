"""Topics that are filled before a measurement."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Final, NamedTuple
from uuid import uuid4

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bench.context import Context
from bench.processes import wait_until
from generator.produce import RateLimiter, Tally, open_producer, produce
from generator.stream import VALID, Plan, stream
from service.errors import ServerUnavailable
from service.pkg.shutdown_event import ShutdownEvent

PARTITIONS: Final = 6
REQUEST_TIMEOUT_SECONDS: Final = 30.0
dated_now: Final = partial(Plan, until=None)
"""A plan whose orders are dated when they are drawn: nearly in order and ending now, as producers send them."""
QUIET: Final = {"log_level": 2}
"""Does not log that the broker is stopped at the end."""


class Topic(NamedTuple):
    name: str
    dead_letters: str
    messages: int
    orders: int
    """The number of distinct orders."""


@contextmanager
def filled(context: Context, plan: Plan) -> Iterator[Topic]:
    """Yield a topic of six partitions with the plan's messages, and a dead-letter topic. Deletes both at the end."""
    name = f"orders-bench-{uuid4().hex[:12]}"
    both = name, f"{name}.dlq"
    admin = AdminClient({"bootstrap.servers": context.bootstrap_servers, **QUIET})
    wait_for_all(admin.create_topics([NewTopic(each, PARTITIONS, config={"retention.ms": "-1"}) for each in both]))

    def exist() -> bool:
        return set(both) <= admin.list_topics(timeout=REQUEST_TIMEOUT_SECONDS).topics.keys()

    try:
        wait_until(exist, "topics", REQUEST_TIMEOUT_SECONDS)
        yield Topic(*both, plan.count, _fill(context, name, plan))
    finally:
        wait_for_all(admin.delete_topics([*both]))


def wait_for_all(requests: Mapping[str, Future[None]]) -> None:
    """Block until all requests have succeeded. Raises KafkaException."""
    for request in requests.values():
        request.result(REQUEST_TIMEOUT_SECONDS)


def _fill(context: Context, name: str, plan: Plan) -> int:
    """Produce the plan's messages; return the number of distinct orders."""
    if not plan.count:
        return 0
    producer = open_producer(context.bootstrap_servers, name, {}, compress=False)
    tally = produce(stream(plan), producer, name, limiter=RateLimiter(0), stop=ShutdownEvent(), on_progress=_ignore)
    if not tally.complete:
        raise ServerUnavailable(f"Kafka did not acknowledge all messages ({', '.join(tally.failed)})")
    return tally.sent[VALID]


def _ignore(_: Tally) -> None: ...
